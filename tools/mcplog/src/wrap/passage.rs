//! Passes what one process writes on to another: as it comes, and byte for byte.
//!
//! A thread for each stream, in plain reads and writes of the descriptors: a runtime would take memory and a hop between
//! threads, and the streams of the standard library keep lines and locks. It must not hold bytes back, and waits for nobody
//! but the two at its ends; a full pipe on one side holds up that direction alone.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{dup2_stdin, dup2_stdout};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How much is read at once: what a pipe of Linux holds.
const BUFFER_BYTES: usize = 64 * 1024;

/// How far a direction got, for whoever waits for its end.
#[derive(Debug, Default)]
pub(super) struct Passage {
    bytes: AtomicU64,
    is_writing: AtomicBool,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// How much went through.
    pub(super) bytes: u64,
    /// Whether it waits for its reader, and not for its writer.
    pub(super) is_writing: bool,
}

/// Which end was over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Nothing more comes.
    Source,
    /// Nobody takes any more.
    Target,
}

impl Passage {
    /// Passes everything on until one of both is over. `show` sees each piece before it is passed on.
    pub(super) fn run(&self, source: impl AsFd, target: impl AsFd, mut show: impl FnMut(&[u8])) -> Over {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let bytes = match read(&source, &mut buffer) {
                // A source that can't be read brings no more, as one that is over: a terminal that was hung up, say.
                Ok(0) | Err(_) => return Over::Source,
                Ok(count) => &buffer[..count],
            };
            show(bytes);
            self.is_writing.store(true, Ordering::Relaxed);
            let written = write_all(&target, bytes);
            self.is_writing.store(false, Ordering::Relaxed);
            if written.is_err() {
                return Over::Target;
            }
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Progress {
        Progress { bytes: self.bytes.load(Ordering::Relaxed), is_writing: self.is_writing.load(Ordering::Relaxed) }
    }
}

/// Whether anybody may read what is written there. Of what is no pipe, socket or the like nobody knows, and somebody may.
///
/// It is asked now and then, and not waited for: who waits for a descriptor keeps what it stands for open.
pub(super) fn has_reader(target: impl AsFd) -> bool {
    // Nothing is asked for but what is told in any case: that the other end is gone.
    let mut descriptors = [PollFd::new(&target, PollFlags::empty())];
    !matches!(poll(&mut descriptors, Some(&Timespec::default())), Ok(1..))
}

/// Puts what is over in the place of a descriptor, so that what it stood for is closed.
pub(super) fn let_go(descriptor: Descriptor) {
    // The end of a pipe, since /dev/null is not everywhere. Where there is none, the descriptor stays.
    let Ok((reader, writer)) = std::io::pipe() else { return };
    let _ = match descriptor {
        Descriptor::Input => dup2_stdin(reader),
        Descriptor::Output => dup2_stdout(writer),
    };
}

/// A descriptor that can be let go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Descriptor {
    Input,
    Output,
}

fn read(source: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::read(&source, &mut *buffer) {
            Err(Errno::AGAIN) => wait(&source, PollFlags::IN)?,
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

fn write_all(target: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(&target, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::AGAIN) => wait(&target, PollFlags::OUT)?,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits for a descriptor that somebody who shares it has told not to block.
fn wait(descriptor: impl AsFd, what: PollFlags) -> Result<(), Errno> {
    match poll(&mut [PollFd::new(&descriptor, what)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_descriptor_that_does_not_block_is_waited_for() {
        let (source, mut writer) = std::io::pipe().unwrap();
        let (mut reader, target) = std::io::pipe().unwrap();
        for descriptor in [source.as_fd(), target.as_fd()] {
            rustix::io::ioctl_fionbio(descriptor, true).unwrap();
        }
        // Many times what a pipe holds, and more than a write takes at once.
        let sent: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[number as usize % 3]).collect();
        let (expected, mut received) = (sent.clone(), Vec::new());
        let passage = Passage::default();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                writer.write_all(&sent[..1]).unwrap();
                writer.write_all(&sent[1..]).unwrap();
            });
            scope.spawn(|| {
                let mut shown = 0;
                assert_eq!(passage.run(&source, target, |bytes| shown += bytes.len()), Over::Source);
                assert_eq!(shown, 3_000_000);
            });
            reader.read_to_end(&mut received).unwrap();
        });
        assert!(received == expected);
        assert_eq!(passage.progress(), Progress { bytes: 3_000_000, is_writing: false });
    }

    #[test]
    fn who_reads_no_more_is_told_apart_from_who_writes_no_more() {
        let (source, mut writer) = std::io::pipe().unwrap();
        let (reader, target) = std::io::pipe().unwrap();
        writer.write_all(b"{}\n").unwrap();
        assert!(has_reader(&target));
        drop(reader);
        assert!(!has_reader(&target));
        assert!(has_reader(tempfile::tempfile().unwrap()), "nobody knows of a file");
        let mut shown = Vec::new();
        assert_eq!(Passage::default().run(source, &target, |bytes| shown.extend_from_slice(bytes)), Over::Target);
        assert_eq!(shown, b"{}\n", "what is not passed on was shown all the same");
    }
}
