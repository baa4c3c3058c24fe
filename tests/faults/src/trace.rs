//! What strace wrote, as calls in their order. Pure: text in, calls out.
//!
//! A call lasts from one line to another: `<unfinished ...>` begins it, `<... resumed>` ends it. What strace writes is
//! in the order of cause and effect: a thread that woke another was first let out of its call.

use std::collections::BTreeMap;

/// What strace calls a call that it did not see begin.
const UNNAMED: &str = "???";

/// How often each thread made each call, by the names of both.
pub type Counts = BTreeMap<(String, String), u64>;

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The id of the thread.
    pub thread: u32,
    /// Its name, such as `msync`.
    pub name: String,
    /// Everything between its parentheses.
    pub arguments: String,
    /// What it returned: a number as strace writes it (with what it stands for, under `-y`), or why it failed. A call that
    /// strace kept from being made failed, whatever its caller was told.
    pub result: Result<String, String>,
    /// The lines on which it began and ended, from 0; `ended` is the last line of all for a call that never did.
    pub began: usize,
    /// See `began`.
    pub ended: usize,
}

/// All calls of a log, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The calls.
    pub calls: Vec<Call>,
}

impl Trace {
    /// Reads a log that was written with `-o`.
    ///
    /// # Panics
    /// A line is none that strace writes.
    pub fn parse(log: &str) -> Self {
        let mut calls: Vec<Call> = Vec::new();
        let mut open: BTreeMap<u32, usize> = BTreeMap::new();
        for (number, line) in log.lines().enumerate() {
            let (thread, what) = split_thread(line);
            if what.starts_with("+++") || what.starts_with("---") {
                continue;
            }
            if let Some(rest) = what.strip_prefix("<... ") {
                // A call that began before strace was attached.
                let Some(begun) = open.remove(&thread) else { continue };
                let rest = rest.split_once(" resumed>").map(|(_, rest)| rest);
                let call = &mut calls[begun];
                call.finish(rest.unwrap_or_else(|| panic!("line {number}: {line:?}")), number);
                continue;
            }
            let (name, rest) = what.split_once('(').unwrap_or_else(|| panic!("line {number}: {line:?}"));
            let mut call = Call {
                thread,
                name: name.to_owned(),
                arguments: String::new(),
                result: Err("never returned".into()),
                began: number,
                ended: usize::MAX,
            };
            match rest.strip_suffix("<unfinished ...>") {
                Some(arguments) => {
                    call.arguments = arguments.trim_end().to_owned();
                    open.insert(thread, calls.len());
                }
                None => call.finish(rest, number),
            }
            calls.push(call);
        }
        let lines = log.lines().count();
        calls.iter_mut().for_each(|call| call.ended = call.ended.min(lines));
        Self { calls }
    }

    /// Whether a call was tampered with.
    pub fn was_hit(&self) -> bool {
        self.calls.iter().any(|call| call.result.as_ref().is_err_and(|error| error.ends_with("(INJECTED)")))
    }

    /// How often each thread made each call since the last one that matches, or in all if none does. A call that strace can't
    /// name, because it came upon a thread in the midst of it, counts as none: no fault can be ordered for it.
    pub fn counts_since(&self, matches: impl Fn(&Call) -> bool) -> Counts {
        let names = self.thread_names();
        let from = self.calls.iter().rposition(matches).map_or(0, |before| before + 1);
        let mut counts = Counts::new();
        for call in self.calls[from..].iter().filter(|call| call.name != UNNAMED) {
            let thread = names.get(&call.thread).cloned().unwrap_or_default();
            *counts.entry((thread, call.name.clone())).or_default() += 1;
        }
        counts
    }

    /// The names that threads gave themselves; the first thread is `main`.
    pub fn thread_names(&self) -> BTreeMap<u32, String> {
        let mut names = BTreeMap::new();
        if let Some(first) = self.calls.first() {
            names.insert(first.thread, "main".to_owned());
        }
        for call in self.calls.iter().filter(|call| call.name == "prctl") {
            let name = call.arguments.strip_prefix("PR_SET_NAME, \"").and_then(|rest| rest.split_once('"'));
            if let Some((name, _)) = name {
                names.insert(call.thread, name.to_owned());
            }
        }
        names
    }
}

impl Call {
    /// `rest` is what follows the opening parenthesis, or the words `resumed>`.
    fn finish(&mut self, rest: &str, line: usize) {
        self.ended = line;
        // The last one: what is written may look like the end of a call itself.
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { return };
        self.arguments.push_str(arguments.trim_end().trim_end_matches(')'));
        let result = result.trim();
        self.result = match result.strip_prefix("-1 ") {
            Some(error) => Err(error.to_owned()),
            None if result.starts_with('?') => Err("never returned".into()),
            None if result.ends_with("(INJECTED)") => Err(format!("not made: {result}")),
            None => Ok(result.to_owned()),
        };
    }

    /// The path of the descriptor that is its first argument.
    pub fn path(&self) -> Option<&str> {
        described(&self.arguments)
    }
}

/// The path in `7</some/path>`, as `-y` describes a descriptor.
pub fn described(text: &str) -> Option<&str> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let path = text[digits..].strip_prefix('<')?;
    (digits > 0).then(|| path.split('>').next()).flatten()
}

/// `123  call(...)`: the thread and the call. One thread alone is not named, and is called 0. A time in front of the call
/// is passed over.
fn split_thread(line: &str) -> (u32, &str) {
    let is_time = |word: &str| word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let (thread, what) = match line.split_once(' ') {
        Some((word, rest)) if word.parse::<u32>().is_ok() => (word.parse().unwrap_or_default(), rest.trim_start()),
        _ => (0, line),
    };
    (thread, what.split_once(' ').filter(|(word, _)| is_time(word)).map_or(what, |(_, what)| what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(thread: u32, name: &str, arguments: &str, result: Result<&str, &str>, lines: [usize; 2]) -> Call {
        Call {
            thread,
            name: name.into(),
            arguments: arguments.into(),
            result: result.map(Into::into).map_err(Into::into),
            began: lines[0],
            ended: lines[1],
        }
    }

    #[test]
    fn the_calls_of_one_thread_alone_are_read_too() {
        let trace = Trace::parse("fsync(3</d>) = 0\n1795597654.5 fsync(4</e>) = 0\n");
        let calls = [call(0, "fsync", "3</d>", Ok("0"), [0, 0]), call(0, "fsync", "4</e>", Ok("0"), [1, 1])];
        assert_eq!(trace.calls, calls);
    }

    #[test]
    fn a_call_that_strace_can_not_name_is_not_counted() {
        let trace = Trace::parse("10    ???( <unfinished ...>\n11    fsync(3</d>) = 0\n11    fsync(3</d>) = 0\n");
        let expected: Counts = [((String::new(), "fsync".to_owned()), 2)].into();
        assert_eq!(trace.counts_since(|_| false), expected);
    }

    #[test]
    fn a_call_lasts_from_its_beginning_to_where_it_is_resumed() {
        let log = "\
10    1795597654.062042 rename(\"/a\", \"/b\" <unfinished ...>
11    1795597654.062073 prctl(PR_SET_NAME, \"mcplog-sync\") = 0
10    1795597654.062176 <... rename resumed>) = 0
12    <... futex resumed>) = 0
11    write(1</dev/null>, \"a = (b)\\n\", 8) = 8
11    msync(0x7f00, 4096, MS_SYNC) = -1 EIO (Input/output error) (INJECTED)
10    fsync(3</d>) = 0 (INJECTED)
10    mmap(NULL, 65536, PROT_READ, MAP_SHARED, 8</w/1.new>, 0 <unfinished ...>
11    pwrite64(5</x>, \"\", 1, 0 <unfinished ...>
10    <... mmap resumed>) = 0x7ff0
11    <... pwrite64 resumed>) = ?
11    +++ killed by SIGKILL +++
10    fsync(3</d> <unfinished ...>
";
        let calls = [
            call(10, "rename", "\"/a\", \"/b\"", Ok("0"), [0, 2]),
            call(11, "prctl", "PR_SET_NAME, \"mcplog-sync\"", Ok("0"), [1, 1]),
            call(11, "write", "1</dev/null>, \"a = (b)\\n\", 8", Ok("8"), [4, 4]),
            call(11, "msync", "0x7f00, 4096, MS_SYNC", Err("EIO (Input/output error) (INJECTED)"), [5, 5]),
            call(10, "fsync", "3</d>", Err("not made: 0 (INJECTED)"), [6, 6]),
            call(10, "mmap", "NULL, 65536, PROT_READ, MAP_SHARED, 8</w/1.new>, 0", Ok("0x7ff0"), [7, 9]),
            call(11, "pwrite64", "5</x>, \"\", 1, 0", Err("never returned"), [8, 10]),
            call(10, "fsync", "3</d>", Err("never returned"), [12, 13]),
        ];
        let trace = Trace::parse(log);
        assert_eq!(trace.calls, calls);
        assert_eq!(trace.thread_names(), [(10, "main".to_owned()), (11, "mcplog-sync".to_owned())].into());
        assert_eq!(trace.calls[2].path(), Some("/dev/null"));
        assert_eq!(trace.calls[3].path(), None);
        assert!(trace.was_hit() && !Trace::parse("fsync(3</d>) = -1 EIO (Input/output error)\n").was_hit());
    }
}
