//! Properties of edits: of documents written at random, of the clients' files with random damage, and of any text at all.

use super::document_tests::{FILES, at, client_file, same_around};
use super::random_documents::{Written, text, texts, written};
use super::{Document, Format, Step};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What is done to the entry `target`.
#[derive(Clone, Debug)]
enum Edit {
    /// Sets the member of that number, or adds another one.
    Set(usize, Value),
    Remove(usize),
    /// Before the items of the first list, if there is one.
    Prepend(Vec<String>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = prop_oneof![text().prop_map(Value::from), texts().prop_map(Value::from)];
    prop_oneof![
        4 => (0..7_usize, value).prop_map(|(member, value)| Edit::Set(member, value)),
        1 => (0..5_usize).prop_map(Edit::Remove),
        3 => prop::collection::vec(text(), 1..4).prop_map(Edit::Prepend),
    ]
}

fn any_format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Json), Just(Format::Toml), Just(Format::Yaml)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edit_changes_what_it_says_within_the_entry_and_undone_gives_the_bytes_from_before(
        (written, edit) in (any_format().prop_flat_map(written), edit())
    ) {
        assert_edit_holds(written, &edit)?;
    }

    #[test]
    fn no_text_panics(format in any_format(), text in any::<String>()) {
        exercise(format, &text);
    }

    #[test]
    fn no_text_of_a_formats_own_pieces_panics(
        format in any_format(),
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40),
    ) {
        exercise(format, &pieces.concat());
    }

}

proptest! {
    // Each of them makes some hundred edits.
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_to_a_clients_file_panics(
        (name, format, _) in prop::sample::select(&FILES[..]),
        from in any::<prop::sample::Index>(),
        length in 0..40_usize,
        piece in prop::sample::select(PIECES),
    ) {
        let text = client_file(name);
        let ends: Vec<_> = text.char_indices().map(|(end, _)| end).collect();
        let from = from.index(ends.len());
        let to = (from + length).min(ends.len() - 1);
        exercise(format, &format!("{}{piece}{}", &text[..ends[from]], &text[ends[to]..]));
    }
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "'",
    "\"a\"",
    "'a'",
    "a",
    "a: ",
    "a = ",
    "a.",
    "1",
    "-",
    "- ",
    "? ",
    "|\n",
    ">-\n",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "#",
    "# c\n",
    "//",
    "/*",
    "*/",
    "\\",
    "\\u",
    "[a]\n",
    "[[a]]\n",
    "[a.b]\n",
    "'''",
    "\"\"\"",
    "&a ",
    "*a",
    "!t ",
    "<<: ",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "null",
    "true",
    "\u{feff}",
    "ü",
    "\u{85}",
    "\0",
    "{}",
    "[]",
    "{a: 1}",
    "{\"a\":1}",
    "a: 1\n",
    "a = 1\n",
    "b:\n",
    "\"b\":",
    "|+\n a\n\n",
];

fn assert_edit_holds(mut written: Written, edit: &Edit) -> Result<(), TestCaseError> {
    let before = Document::parse(written.format, &written.text)
        .map_err(|error| TestCaseError::fail(format!("{error}\n{}", written.text)))?;
    prop_assert_eq!(before.value(&[]), Some(written.value()), "{}", written.text);
    let entry = if written.is_list { at("servers>1") } else { at("servers>target") };
    let way = |name: &str| [entry.clone(), vec![Step::Key(name.to_owned())]].concat();
    let mut document = before.clone();
    let mut is_undone = true;
    let undo: Box<dyn Fn(&mut Document)> = match edit.clone() {
        Edit::Set(member, value) => {
            let name = written.target().get(member).map_or("add ed".to_owned(), |(name, _)| name.clone());
            // A table of TOML with a header or dotted keys has no place of its own.
            if written.target().get(member).is_some_and(|(_, value)| value.is_object()) {
                return Ok(());
            }
            let done = document.set(&way(&name), &value);
            prop_assert_eq!(done, Ok(()), "{}", written.text);
            let was_list = written.target().get(member).is_some_and(|(_, value)| value.is_array());
            // Dashes in the place of a text, or no items, stand further right than they did.
            is_undone = !(written.format == Format::Yaml && was_list && value.as_array().is_none_or(Vec::is_empty));
            match written.target().get_mut(member) {
                Some(member) => member.1 = value,
                None => written.target().push((name.clone(), value)),
            }
            let (way, source) = (way(&name), before.source(&way(&name)).map(str::to_owned));
            Box::new(move |document| match &source {
                Some(source) => document.set_source(&way, source).unwrap(),
                None => document.remove(&way).unwrap(),
            })
        }
        Edit::Prepend(front) => {
            let list =
                written.target().iter_mut().find_map(|(name, value)| Some((name.clone(), value.as_array_mut()?)));
            let Some((name, items)) = list else { return Ok(()) };
            items.splice(0..0, front.iter().cloned().map(Value::from));
            let way = way(&name);
            prop_assert_eq!(document.prepend(&way, &front), Ok(()), "{}", written.text);
            Box::new(move |document| document.remove_front(&way, front.len()).unwrap())
        }
        Edit::Remove(member) => {
            let count = written.target().len();
            let is_removable = written.target().get(member).is_some_and(|(_, value)| count > 1 && !value.is_object());
            if !is_removable {
                return Ok(());
            }
            let (name, _) = written.target().remove(member);
            prop_assert_eq!(document.remove(&way(&name)), Ok(()), "{}", written.text);
            let text = written.text.clone();
            let format = written.format;
            Box::new(move |document| *document = Document::parse(format, &text).unwrap())
        }
    };
    // What it says, as a parser says that did not see the edit.
    let after = Document::parse(written.format, document.text()).unwrap();
    prop_assert_eq!(after.value(&[]), Some(written.value()), "{}\n->\n{}", written.text, after.text());
    if written.format == Format::Toml {
        let by_toml: Value = toml::from_str(document.text().trim_start_matches('\u{feff}')).unwrap();
        prop_assert_eq!(by_toml, written.value());
    }
    // All that changed lies between the entry's name and the next one's.
    let (same, same_behind) = same_around(&written.text, document.text());
    let [start, end] = ["target", "behind"].map(|name| written.text.find(name).unwrap());
    // A line that goes takes its break with it.
    let start = written.text[..start].trim_end().len();
    let is_same = document.text() == written.text;
    prop_assert!(
        is_same || same >= start && written.text.len() - same_behind <= end,
        "{}\n->\n{}",
        written.text,
        after.text()
    );
    if is_undone {
        undo(&mut document);
        prop_assert_eq!(document.text(), &written.text, "after\n{}", after.text());
    }
    Ok(())
}

/// Reads and edits wherever there is something; what is refused leaves the text as it is.
fn exercise(format: Format, text: &str) {
    let Ok(mut document) = Document::parse(format, text) else { return };
    let mut ways = vec![vec![]];
    let mut next = 0;
    while next < ways.len() && ways.len() < 40 {
        let way: Vec<Step> = ways[next].clone();
        let names = document.keys(&way).into_iter().map(Step::Key);
        let steps = names.chain((0..document.len(&way)).map(Step::Index));
        ways.extend(steps.map(|step| [way.clone(), vec![step]].concat()));
        next += 1;
    }
    document.value(&[]);
    document.masked(&|_| false);
    assert_eq!(document.masked(&|_| true).matches('\n').count(), text.matches('\n').count());
    for way in &ways {
        let added = [way.clone(), at("add ed")].concat();
        assert_undone(
            &mut document,
            |document| document.set(&added, &json!(["-y", "x"])),
            |document| document.remove(&added),
        );
        assert_undone(
            &mut document,
            |document| document.prepend(way, &["-y", "x"]),
            |document| document.remove_front(way, 2),
        );
        if let Some(source) = document.source(way).map(str::to_owned) {
            let back = |document: &mut Document| document.set_source(way, &source);
            // Dashes in the place of a text stand further right than they did.
            if !(format == Format::Yaml && source.starts_with('-')) {
                assert_undone(&mut document, |document| document.set(way, &json!("/x y")), back);
            }
            assert_undone(&mut document, |document| document.set(way, &json!(["x"])), back);
        }
        let mut removed = document.clone();
        if removed.remove(way).is_err() {
            assert_eq!(removed.text(), document.text());
        }
    }
}

/// Does something, and undoes it if it was done: the text is the one from before. What can be done but not undone is
/// refused, and nothing is half done.
fn assert_undone(
    document: &mut Document,
    done: impl Fn(&mut Document) -> Result<(), super::DocumentError>,
    undone: impl Fn(&mut Document) -> Result<(), super::DocumentError>,
) {
    let mut edited = document.clone();
    if done(&mut edited).is_err() {
        assert_eq!(edited.text(), document.text());
        return;
    }
    let after = edited.text().to_owned();
    match undone(&mut edited) {
        Ok(()) => assert_eq!(edited.text(), document.text(), "by way of\n{after}"),
        Err(_) => assert_eq!(edited.text(), after),
    }
}
