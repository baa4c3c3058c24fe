//! JSON, with comments and commas behind the last member, as VS Code and Zed read it: from text to outline.
//!
//! Pure. The tokens are those of jsonc-parser. Its own tree is not used: of a file of ten megabytes it takes some hundred,
//! and a place in it is no place in the text.

use super::error::DocumentError;
use super::outline::{Kind, Outline};
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::tokens::Token;
use jsonc_parser::{Scanner, ScannerOptions};
use serde_json::Value;

/// Levels of nesting; serde_json stops there as well. Configuration has five or six.
const DEPTH_MAX: usize = 128;

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    /// Behind `[` or a comma in a list.
    ItemOrEnd,
    /// Behind `{` or a comma in an object.
    NameOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// The outline of a text, whose first `skipped` bytes are no JSON.
pub(super) fn outline(text: &str, skipped: usize) -> Result<Outline, DocumentError> {
    let mut outline = Outline::default();
    let mut scanner = Scanner::new(&text[skipped..], &OPTIONS);
    let mut open: Vec<usize> = Vec::new();
    let mut next = Next::Value;
    loop {
        let token = scanner.scan().map_err(|error| invalid(text, skipped, &error))?;
        let range = skipped + scanner.token_start()..skipped + scanner.token_end();
        let refuse = |expected: &str| Err(DocumentError::invalid(text, range.start, format!("expected {expected}")));
        let Some(token) = token else {
            return match next {
                Next::Nothing => Ok(outline),
                // An empty file, or one of comments only.
                Next::Value if outline.root().is_none() => Ok(outline),
                _ => refuse("more: the text ends within a value"),
            };
        };
        let is_closing = match token {
            Token::CommentLine(_) | Token::CommentBlock(_) => continue,
            Token::Comma if next == Next::CommaOrEnd => {
                next = behind_comma(&outline, &open);
                continue;
            }
            Token::Colon if next == Next::Colon => {
                next = Next::Value;
                continue;
            }
            Token::String(_) if next == Next::NameOrEnd => {
                outline.leaf(Kind::Scalar, range);
                next = Next::Colon;
                continue;
            }
            Token::CloseBrace => closes(&outline, &open, Kind::FlowMapping, next),
            Token::CloseBracket => closes(&outline, &open, Kind::FlowSequence, next),
            _ => false,
        };
        if is_closing {
            if let Some(index) = open.pop() {
                outline.close(index, range.end);
            }
        } else if matches!(next, Next::Value | Next::ItemOrEnd) {
            match token {
                Token::OpenBrace | Token::OpenBracket if open.len() == DEPTH_MAX => {
                    return Err(DocumentError::invalid(text, range.start, "expected fewer levels: 128 are read"));
                }
                Token::OpenBrace => {
                    open.push(outline.open(Kind::FlowMapping, range.start));
                    next = Next::NameOrEnd;
                    continue;
                }
                Token::OpenBracket => {
                    open.push(outline.open(Kind::FlowSequence, range.start));
                    next = Next::ItemOrEnd;
                    continue;
                }
                Token::String(_) | Token::Boolean(_) | Token::Number(_) | Token::Null => {
                    outline.leaf(Kind::Scalar, range);
                }
                _ => return refuse("a value"),
            }
        } else {
            return refuse(match next {
                Next::NameOrEnd => "a name in double quotes, or the object's end",
                Next::Colon => "a colon",
                Next::CommaOrEnd => "a comma, or the end of the object or list",
                Next::Nothing => "nothing behind the value",
                Next::Value | Next::ItemOrEnd => "a value",
            });
        }
        next = if open.is_empty() { Next::Nothing } else { Next::CommaOrEnd };
    }
}

/// What the source of a scalar says. A number that no double holds is its own text.
pub(super) fn scalar(source: &str) -> Value {
    match Scanner::new(source, &OPTIONS).scan() {
        Ok(Some(Token::String(text))) => Value::from(text.as_ref()),
        Ok(Some(Token::Boolean(is))) => Value::from(is),
        Ok(Some(Token::Number(number))) => serde_json::from_str(number).unwrap_or_else(|_| Value::from(number)),
        _ => Value::Null,
    }
}

const OPTIONS: ScannerOptions = ScannerOptions {
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

fn behind_comma(outline: &Outline, open: &[usize]) -> Next {
    match open.last().map(|index| outline.node(*index).kind) {
        Some(Kind::FlowMapping) => Next::NameOrEnd,
        _ => Next::ItemOrEnd,
    }
}

/// Whether the innermost value is of that kind, and may end there.
fn closes(outline: &Outline, open: &[usize], kind: Kind, next: Next) -> bool {
    let may_end = matches!(next, Next::ItemOrEnd | Next::NameOrEnd | Next::CommaOrEnd);
    may_end && open.last().is_some_and(|index| outline.node(*index).kind == kind)
}

/// The parser's own words say what a text says; these don't.
fn invalid(text: &str, skipped: usize, error: &ParseError) -> DocumentError {
    let problem = match error.kind() {
        ParseErrorKind::String(_) => "expected a text that ends on its quote, with valid escapes",
        ParseErrorKind::UnterminatedCommentBlock => "expected the comment's end",
        ParseErrorKind::SingleQuotedStringsNotAllowed => "expected double quotes, found a single one",
        ParseErrorKind::ExpectedDigit
        | ParseErrorKind::ExpectedDigitFollowingNegativeSign
        | ParseErrorKind::ExpectedPlusMinusOrDigitInNumberLiteral
        | ParseErrorKind::UnaryPlusNumbersNotAllowed
        | ParseErrorKind::HexadecimalNumbersNotAllowed
        | ParseErrorKind::BareDecimalPointNumbersNotAllowed
        | ParseErrorKind::NonFiniteNumbersNotAllowed => "expected a decimal number",
        _ => "expected a name, a value, or the end of one",
    };
    DocumentError::invalid(text, skipped + error.range().start, problem)
}
