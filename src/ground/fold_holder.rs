//! What stands in the file `FOLD`: who folds, how often it has looked, and what it says of itself. For people, and for
//! those that wait for the lock; nothing here decides who holds it.
//!
//! Pure, but for what the system says of this process. Three places of fixed size, each written as a whole:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 192 | text: process id, number of its pid namespace, boot id, program version, record level; each `-` if unknown |
//! | 192 | 8 | the beat, a number (little-endian) |
//! | 200 | 312 | text: what the holder says, nothing if all is well |
//!
//! A text ends with a line feed, and spaces fill its place.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The whole file.
pub(super) const BYTES: usize = 512;
const WHO_BYTES: usize = 192;
pub(super) const BEAT_OFFSET: usize = WHO_BYTES;
pub(super) const STATE_OFFSET: usize = BEAT_OFFSET + 8;
/// What a holder writes that found the database corrupt; the file's identity follows.
const CORRUPT: &str = "stopped: corrupt";

/// Who folds, as the lock's file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoldHolder {
    /// Its process id, in its own pid namespace.
    pub(crate) pid: Option<u32>,
    /// Which pid namespace that is.
    pub(crate) namespace: Option<u64>,
    /// The run of the machine that it folds on.
    pub(crate) boot_id: Option<String>,
    /// The version of the program; empty if that is not known.
    pub(crate) version: String,
    /// The newest record level that it knows; 0 if that is not known.
    pub(crate) level: u16,
    /// One more at each look of its.
    pub(crate) beat: u64,
    /// What it says of itself.
    pub(crate) state: String,
}

impl FoldHolder {
    /// This process, which has not looked yet.
    pub(super) fn this_process(level: u16) -> Self {
        Self {
            pid: Some(std::process::id()),
            namespace: pid_namespace(),
            boot_id: boot_id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            level,
            beat: 0,
            state: String::new(),
        }
    }

    /// What the file's bytes say. Whatever they are, it is an answer: what can't be read is not known.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let beat = bytes.get(BEAT_OFFSET..STATE_OFFSET).and_then(|beat| beat.try_into().ok());
        let who = text(bytes.get(..WHO_BYTES).unwrap_or(bytes));
        let mut words = who.split_ascii_whitespace();
        let mut word = || words.next().filter(|word| *word != "-");
        Self {
            pid: word().and_then(|word| word.parse().ok()),
            namespace: word().and_then(|word| word.parse().ok()),
            boot_id: word().map(str::to_owned),
            version: word().unwrap_or_default().to_owned(),
            level: word().and_then(|word| word.parse().ok()).unwrap_or(0),
            beat: beat.map_or(0, u64::from_le_bytes),
            state: text(bytes.get(STATE_OFFSET..).unwrap_or_default()),
        }
    }

    /// The file's bytes.
    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [b' '; BYTES];
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let who = [
            shown(self.pid.map(|pid| pid.to_string())),
            shown(self.namespace.map(|namespace| namespace.to_string())),
            shown(self.boot_id.clone()),
            shown(Some(self.version.clone()).filter(|version| !version.is_empty())),
            shown((self.level > 0).then(|| self.level.to_string())),
        ];
        fill(&mut bytes[..WHO_BYTES], &who.join(" "));
        bytes[BEAT_OFFSET..STATE_OFFSET].copy_from_slice(&self.beat.to_le_bytes());
        bytes[STATE_OFFSET..].copy_from_slice(&encode_state(&self.state));
        bytes
    }

    /// Whether it runs on this machine since that was started. Who does not say where it runs is not known to.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot_id.is_some() && self.boot_id == boot_id()
    }

    /// Whether it found the database corrupt that lies at `database` now.
    pub(super) fn found_corrupt(&self, database: &Path) -> bool {
        self.state.starts_with(CORRUPT) && database.exists() && self.state == corrupt_state(database)
    }
}

impl fmt::Display for FoldHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_of_this_namespace = self.namespace.is_none() || self.namespace == pid_namespace();
        match (self.pid, &self.boot_id) {
            (Some(pid), Some(boot_id)) if !self.is_of_this_boot() => {
                write!(
                    f,
                    "a process of another machine, or from before this one was started (number {pid}, boot {boot_id})"
                )
            }
            (Some(pid), _) if is_of_this_namespace => write!(f, "process {pid}"),
            (Some(pid), _) => write!(f, "a process in another container (number {pid} there)"),
            (None, _) => f.write_str("another process"),
        }
    }
}

/// What the place of the holder's own words holds.
pub(super) fn encode_state(state: &str) -> [u8; BYTES - STATE_OFFSET] {
    let mut bytes = [b' '; BYTES - STATE_OFFSET];
    fill(&mut bytes, state);
    bytes
}

/// What is said of a database that is corrupt. It holds for this file as it is now: one that was put in its place, or
/// mended, is worth a try.
pub(super) fn corrupt_state(database: &Path) -> String {
    let identity = std::fs::metadata(database).map_or_else(
        |_| "-".to_owned(),
        |file| format!("{} {} {}.{:09}", file.dev(), file.ino(), file.mtime(), file.mtime_nsec()),
    );
    format!("{CORRUPT} ({identity})")
}

/// The number of this process's pid namespace.
pub(crate) fn pid_namespace() -> Option<u64> {
    std::fs::metadata("/proc/self/ns/pid").ok().map(|metadata| metadata.ino())
}

/// The id of this run of the machine: another one after each start of it, the same one in all containers of a kernel.
pub(crate) fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty() && id.len() <= 64 && !id.contains(char::is_whitespace))
}

/// Writes as much of a text as its place holds, and a line feed at the place's end.
fn fill(place: &mut [u8], text: &str) {
    place.fill(b' ');
    let Some((line_feed, room)) = place.split_last_mut() else { return };
    *line_feed = b'\n';
    let text = &text[..text.floor_char_boundary(room.len())];
    room[..text.len()].copy_from_slice(text.as_bytes());
}

/// The text of a place, without what no line of text has.
fn text(place: &[u8]) -> String {
    let text = String::from_utf8_lossy(place);
    text.trim().chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut holder = FoldHolder::this_process(3);
        assert_eq!(FoldHolder::decode(&holder.encode()), holder);
        holder.beat = u64::MAX - 1;
        holder.state = "stopped: no room".into();
        assert_eq!(FoldHolder::decode(&holder.encode()), holder);
        let nobody = FoldHolder::default();
        assert_eq!(FoldHolder::decode(&nobody.encode()), nobody);
        let text = holder.encode();
        assert!(text.iter().filter(|byte| **byte == b'\n').count() >= 2);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_hurts_no_other_place() {
        let holder = FoldHolder { state: "é".repeat(400), beat: 7, ..FoldHolder::this_process(1) };
        let read = FoldHolder::decode(&holder.encode());
        assert_eq!((read.beat, read.pid), (7, holder.pid));
        assert_eq!(read.state, "é".repeat(155));
    }

    #[test]
    fn anything_else_in_the_file_is_an_answer_without_control_characters() {
        for bytes in [&b""[..], b"7", b"7\n", b"what \x1b[31m", &[0xff; 600], &[0; 512], &[b'9'; 512]] {
            let holder = FoldHolder::decode(bytes);
            assert!(!holder.to_string().contains(char::is_control), "{holder}");
            assert!(!holder.state.contains(char::is_control));
        }
        assert_eq!(FoldHolder::decode(b"7\n").pid, Some(7));
    }

    #[test]
    fn a_holder_is_named_so_that_nobody_takes_another_process_for_it() {
        let here = FoldHolder { pid: Some(7), ..FoldHolder::this_process(1) };
        assert_eq!(here.to_string(), "process 7");
        let namespace = here.namespace.map(|namespace| namespace + 1);
        let told = FoldHolder { namespace, ..here.clone() }.to_string();
        assert_eq!(told, "a process in another container (number 7 there)");
        let told = FoldHolder { boot_id: Some("other".into()), ..here }.to_string();
        assert!(told.contains("another machine") && told.contains("boot other"), "{told}");
        assert_eq!(FoldHolder::default().to_string(), "another process");
    }

    #[test]
    fn a_corrupt_database_is_one_until_the_file_is_another_or_changes() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("store.db");
        std::fs::write(&database, "one").unwrap();
        let holder = FoldHolder { state: corrupt_state(&database), ..FoldHolder::default() };
        assert!(holder.found_corrupt(&database));
        assert!(!FoldHolder::default().found_corrupt(&database));
        std::fs::write(dir.path().join("new"), "two").unwrap();
        std::fs::rename(dir.path().join("new"), &database).unwrap();
        assert!(!holder.found_corrupt(&database));
    }

    #[test]
    fn a_pid_namespace_has_the_number_that_the_kernel_gives_it() {
        let link = std::fs::read_link("/proc/self/ns/pid").unwrap();
        assert_eq!(link.to_str(), Some(&*format!("pid:[{}]", pid_namespace().unwrap())));
    }
}
