//! What is compiled for tests only, and so is no part of the picture.
//!
//! Pure.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

/// Whether `#[cfg(test)]` or the like stands before that piece of code.
pub(crate) fn is_of_tests(node: &impl ToTokens) -> bool {
    let mut tokens = node.to_token_stream().into_iter();
    while let (Some(TokenTree::Punct(hash)), Some(TokenTree::Group(attribute))) = (tokens.next(), tokens.next()) {
        if hash.as_char() != '#' {
            return false;
        }
        let mut words = attribute.stream().into_iter();
        if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(condition))) = (words.next(), words.next())
            && name == "cfg"
            && asks_for_tests(condition.stream())
        {
            return true;
        }
    }
    false
}

/// Whether a condition holds in tests only: it names them, and does not turn that round.
fn asks_for_tests(condition: TokenStream) -> bool {
    let mut words = Vec::new();
    collect(condition, &mut words);
    words.iter().any(|word| word == "test" || word == "doctest") && !words.iter().any(|word| word == "not")
}

fn collect(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => words.push(word.to_string()),
            TokenTree::Group(group) => collect(group.stream(), words),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}
