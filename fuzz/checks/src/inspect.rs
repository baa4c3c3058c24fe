//! What must hold of `wal-inspect`, whatever the file: no panic, no raw control character, output in proportion to the
//! file, JSON that parses, and all commands of one mind.

use crate::forged::segment;
use crate::input::Input;
use std::cell::RefCell;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;

/// What one byte of a segment may become at most. The worst is a frame of one byte, a dozen of header, that is a record
/// whose every field takes a line of its own, twenty columns wide.
const OUTPUT_PER_BYTE_MAX: usize = 256;
/// Headings, the table of segments, the summary.
const OUTPUT_BESIDES_MAX: usize = 16 * 1024;

/// Makes a segment from the input and has every command print it.
pub fn check(input: &[u8]) {
    thread_local! {
        static DIR: tempfile::TempDir = tempfile::tempdir().expect("a temporary directory");
    }
    let bytes = segment(&mut Input::new(input), 1, 1).bytes;
    DIR.with(|dir| {
        let path = dir.path().join("000000000001.seg");
        std::fs::write(&path, &bytes).expect("write");
        check_file(&path, bytes.len());
    });
}

fn check_file(path: &Path, file_bytes: usize) {
    let texts: [(&[&str], Option<usize>); 7] = [
        (&["list"], Some(80)),
        (&["dump"], Some(80)),
        (&["dump", "--full", "--hex", "--offsets"], Some(20)),
        (&["dump", "--full"], None),
        (&["verify"], Some(40)),
        (&["tail", "-n", "3"], Some(80)),
        (&["tail", "--color", "always"], Some(20)),
    ];
    for (arguments, columns) in texts {
        let (text, _) = print(path, arguments, columns, file_bytes);
        assert_harmless(&text, arguments);
    }
    let (list, _) = print(path, &["list", "--json"], None, file_bytes);
    let (verify, verdict) = print(path, &["verify", "--json"], None, file_bytes);
    let (dump, dumped) = print(path, &["dump", "--json"], None, file_bytes);
    let [list, verify, dump] = [list, verify, dump].map(|text| objects(&text));
    assert_eq!(verdict, dumped, "verify and dump judge alike");
    let summary = verify.last().expect("a summary");
    let records = dump.iter().filter(|object| object.get("kind_number").is_some()).count();
    assert_eq!(summary["records"].as_u64(), Some(records as u64), "verify counts what dump prints");
    assert_eq!(list.iter().filter(|object| object["type"] == "segment").count(), 1);
    let sequences: Vec<_> = dump.iter().filter_map(|object| object["sequence"].as_u64()).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] <= pair[1]), "{sequences:?}");
}

/// What a command prints, and its exit code.
fn print(path: &Path, arguments: &[&str], columns: Option<usize>, file_bytes: usize) -> (String, u8) {
    let printed = Printed::default();
    let command_line = ["wal-inspect"].iter().chain(arguments).map(Into::into).chain([path.as_os_str().to_owned()]);
    let code = wal_inspect::print_into(printed.clone(), columns, command_line).expect("a file that exists");
    assert!(code <= 3);
    let bytes = printed.0.take();
    let most = OUTPUT_PER_BYTE_MAX * file_bytes + OUTPUT_BESIDES_MAX;
    assert!(bytes.len() <= most, "{} bytes printed of a file of {file_bytes}: {arguments:?}", bytes.len());
    (String::from_utf8(bytes).expect("UTF-8"), code)
}

/// A writer whose content can be had afterwards.
#[derive(Clone, Default)]
struct Printed(Rc<RefCell<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Nothing that a terminal acts on, but line feeds and, where they are asked for, colours.
fn assert_harmless(text: &str, arguments: &[&str]) {
    let coloured = arguments.contains(&"always");
    let mut rest = text;
    while let Some(at) = rest.find(acts_on_a_terminal) {
        let bad = &rest[at..];
        let colour = bad.strip_prefix("\x1b[").and_then(|bad| bad.split_once('m'));
        match colour {
            Some((parameters, behind)) if coloured && parameters.chars().all(|c| c.is_ascii_digit() || c == ';') => {
                rest = behind;
            }
            _ => panic!("{arguments:?} prints {:?}", bad.chars().take(20).collect::<String>()),
        }
    }
}

fn acts_on_a_terminal(character: char) -> bool {
    let reorders = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{feff}'];
    (character.is_control() && character != '\n')
        || reorders.contains(&character)
        || ('\u{202a}'..='\u{202e}').contains(&character)
        || ('\u{2066}'..='\u{2069}').contains(&character)
}

fn objects(text: &str) -> Vec<serde_json::Value> {
    assert!(!text.chars().any(acts_on_a_terminal), "{text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
