//! Rules for the text of each file: its purpose, `unsafe`, what is left for later, how long it is.
//!
//! Pure.

use crate::graph::Graph;
use crate::rules::{FAULT_FILES, LINES_MAX, MAY_BE_UNSAFE, PANICKING_PRINTERS};
use crate::tree::Tree;
use proc_macro2::{TokenStream, TokenTree};
use std::str::FromStr;

/// A message for each file that does not open with `//!`.
pub(crate) fn files_without_a_purpose(tree: &Tree) -> Vec<String> {
    let silent = tree.rust_files().filter(|(_, text)| !text.starts_with("//! "));
    silent.map(|(path, _)| format!("{path} does not open with `//!`")).collect()
}

/// A message for each file that no crate declares.
pub(crate) fn files_of_no_crate(tree: &Tree, graph: &Graph) -> Vec<String> {
    let lost = tree.rust_files().filter(|(path, _)| !graph.reached.contains(*path));
    lost.map(|(path, _)| format!("{path} is part of no crate")).collect()
}

/// A message for each `unsafe` where none is allowed, and where one lacks its proof.
pub(crate) fn unsafe_uses(tree: &Tree) -> Vec<String> {
    let mut messages = Vec::new();
    for (path, text) in tree.rust_files() {
        let tokens = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut found = Found::default();
        found.look(tokens);
        if !MAY_BE_UNSAFE.contains(&path) {
            messages.extend(found.lines.iter().map(|line| format!("{path}:{line} is unsafe, or lets others be")));
        } else {
            let proofs = text.matches("// SAFETY: ").count();
            if proofs != found.uses {
                messages.push(format!("{path} has {} unsafe uses and {proofs} proofs", found.uses));
            }
        }
    }
    messages
}

/// Where code is unsafe; comments and texts are not code.
#[derive(Default)]
struct Found {
    lines: Vec<usize>,
    /// Blocks and implementations, each of which wants a proof.
    uses: usize,
}

impl Found {
    fn look(&mut self, tokens: TokenStream) {
        let mut after_keyword = false;
        for token in tokens {
            if after_keyword {
                let block = matches!(&token, TokenTree::Group(_));
                let implementation = matches!(&token, TokenTree::Ident(word) if word == "impl");
                self.uses += usize::from(block || implementation);
            }
            after_keyword = false;
            match token {
                TokenTree::Ident(word) if word == "unsafe" => {
                    self.lines.push(word.span().start().line);
                    after_keyword = true;
                }
                TokenTree::Ident(word) if word == "unsafe_code" => self.lines.push(word.span().start().line),
                TokenTree::Group(group) => self.look(group.stream()),
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

/// A message for each line of the library, tests apart, that knows more of the faults that tests order than where one may
/// strike.
pub(crate) fn faults_in_more_than_a_line(tree: &Tree) -> Vec<String> {
    let is_product = |path: &str| path.starts_with("src/") && !path.contains("tests") && !FAULT_FILES.contains(&path);
    let mut messages = Vec::new();
    for (path, text) in tree.rust_files().filter(|(path, _)| is_product(path)) {
        let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (number, line) in (1..).zip(product.lines()).filter(|(_, line)| line.contains("sabotage")) {
            let is_import = line.trim() == "use crate::ground::sabotage::{self, Spot};";
            if !is_import && !line.contains("sabotage::at(Spot::") && !line.trim_start().starts_with("//") {
                messages.push(format!("{path}:{number} does more than to say where a fault may strike"));
            }
        }
    }
    messages
}

/// A message for each line of a program or a library that prints by a macro which panics where printing fails.
pub(crate) fn printing_that_may_panic(tree: &Tree) -> Vec<String> {
    let is_product = |path: &str| {
        let in_source = path.starts_with("src/") || path.starts_with("tools/") && path.contains("/src/");
        in_source && !path.contains("tests")
    };
    let mut messages = Vec::new();
    for (path, text) in tree.rust_files().filter(|(path, _)| is_product(path)) {
        let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for (number, line) in (1..).zip(product.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if let Some(printer) = PANICKING_PRINTERS.iter().find(|printer| line.contains(*printer)) {
                messages.push(format!("{path}:{number} prints by {printer}, which panics on a full device; see tools/terminal/src/output.rs"));
            }
        }
    }
    messages
}

/// A message for each word in a file that says that something is still to be done.
pub(crate) fn left_for_later(tree: &Tree) -> Vec<String> {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimpl", "emented!("),
        concat!("#[ign", "ore"),
    ];
    let mut messages = Vec::new();
    for (path, text) in tree.rust_files() {
        messages.extend(words.iter().filter(|word| text.contains(*word)).map(|word| format!("{path} says {word}")));
    }
    messages
}

/// A message for each file that says by itself that something is skipped: `mcplog_skipped` does, so that it is listed.
pub(crate) fn skips_that_are_not_listed(tree: &Tree) -> Vec<String> {
    let by_hand = tree.rust_files().filter(|(path, text)| {
        !path.starts_with("tests/skipped/") && text.contains(concat!("SKIP", "PED"))
            || text.contains(concat!("/dev/std", "err"))
    });
    by_hand.map(|(path, _)| format!("{path} skips by itself, where tests/skipped would list it")).collect()
}

/// A message for each file that is too long to read, its tests apart.
pub(crate) fn long_files(tree: &Tree, graph: &Graph) -> Vec<String> {
    let product = tree.rust_files().filter(|(path, _)| {
        let tests = path.split('/').any(|part| part == "tests");
        !tests && graph.arrows.contains_key(*path)
    });
    let mut messages = Vec::new();
    for (path, text) in product {
        let lines = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().lines().count();
        if lines > LINES_MAX {
            messages.push(format!("{path} has {lines} lines before its tests; make it two"));
        }
    }
    messages
}
