//! What a wrapped server's events need: a store beside the traffic, and what it knows of the server.
//!
//! Set up after the server was started, on the main thread, which opens no store and waits for none: the keeper's thread does.
//! Nothing that fails here is an error: it is said once, and what passes is not recorded.

use super::words::{Subject, Words};
use crate::recording::{Learners, SchemaThread, StoreKeeper, StoreNumbers, Switch, new_watch};
use mcplog::{Config, NoDefaultDir};
use mcplog_observe::{Counts, Observer, Pipe, Sink, Surroundings, SystemClock};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// How long the end may take: what was recorded is in the log by then, and whoever folds next folds the rest.
const SHUTDOWN: Duration = Duration::from_millis(200);
/// How long the end may wait for what is on record of schemas, where a server ended before that was read. Without it, what
/// that server offers may be recorded as if it were new, or not at all.
const LEARNING: Duration = Duration::from_millis(500);
/// How many events may wait for the log: 4 MiB, where a proxy has 64. One server is in front of it, and the machine may have
/// dozens of these.
const CHANNEL_EVENTS: usize = 16 * 1024;

/// What is in a store's trouble that lasts until somebody does that.
const MENDED_BY: &str = "mcplog rebuild";

/// What records a server's events.
pub(super) struct Keeping {
    observer: Arc<Observer>,
    schema: Arc<SchemaThread>,
    keeper: StoreKeeper,
    /// Somebody said what is on record of schemas.
    learned: Receiver<()>,
    words: Arc<Words>,
}

/// Why nothing is recorded at all.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error("{0}; or say --dir DIR")]
    NoDir(#[from] NoDefaultDir),
    #[error("the system has no thread to give ({0})")]
    Thread(#[from] io::Error),
}

impl Keeping {
    /// Has a server of that name recorded: in that directory, or where every command looks. `None`: it is not, which was said.
    pub(super) fn start(dir: Option<PathBuf>, name: &str, keeps_error_text: bool, words: &Arc<Words>) -> Option<Self> {
        Self::try_start(dir, name, keeps_error_text, words)
            .inspect_err(|reason| not_recorded(words, &reason.to_string()))
            .ok()
    }

    fn try_start(
        dir: Option<PathBuf>,
        name: &str,
        keeps_error_text: bool,
        words: &Arc<Words>,
    ) -> Result<Self, NotKept> {
        let dir = dir.map_or_else(|| mcplog::default_dir().map(PathBuf::from), Ok)?;
        let switch = Arc::new(Switch::holding());
        let (sink, counts): (Arc<dyn Sink>, _) = (switch.clone(), Arc::new(Counts::default()));
        let server_name: Arc<str> = name.into();
        let watch = new_watch(sink.clone(), counts.clone(), server_name.clone(), Pipe::url_of(name).into());
        let schema = Arc::new(SchemaThread::start(counts.clone(), watch)?);
        let observer = Observer::new(Surroundings {
            proxy: server_name,
            sink,
            schema: schema.clone(),
            counts,
            clock: Arc::new(SystemClock),
            // A session is over with its process.
            session_idle_ms: 0,
        });
        observer.keep_error_text(keeps_error_text);
        let mut config = Config::new(dir);
        config.program = Some("mcplog wrap".to_owned());
        config.limit_database_by_disk = true;
        config.channel_events = CHANNEL_EVENTS;
        let (learner, told, (knows, learned)) = (schema.clone(), words.clone(), sync_channel(1));
        let learners = Learners {
            schemas: Box::new(move |known| {
                learner.learn(known);
                // It matters once.
                let _ = knows.try_send(());
            }),
            sessions: None,
            numbers: Box::new(move |numbers| tell(&told, numbers)),
        };
        let keeper = StoreKeeper::start(config, switch, false, name, learners)?;
        Ok(Self { observer, schema, keeper, learned, words: words.clone() })
    }

    /// What observes the server.
    pub(super) fn observer(&self) -> &Arc<Observer> {
        &self.observer
    }

    /// Has everything recorded that was observed, within a fraction of a second.
    pub(super) fn end(self) {
        self.observer.finish();
        if self.schema.is_waiting() {
            let _ = self.learned.recv_timeout(LEARNING);
        }
        self.schema.stop();
        let ending = self.keeper.stop(SHUTDOWN);
        let lost = ending.missed + ending.ended.dropped;
        if lost > 0 {
            let reason = ending.trouble.unwrap_or_else(|| "there was no room".to_owned());
            not_recorded(&self.words, &format!("{lost} events are lost: {reason}"));
        }
    }
}

fn tell(words: &Words, numbers: &StoreNumbers) {
    let Some(trouble) = &numbers.trouble else { return };
    if !numbers.recording {
        not_recorded(words, trouble);
    } else if trouble.contains(MENDED_BY) {
        // Trouble that comes and goes by itself is not worth a line.
        words.say_once(Subject::Folding, &format!("recorded, but nobody can ask for it yet: {trouble}"));
    }
}

fn not_recorded(words: &Words, reason: &str) {
    let text = format!("not recording: {reason}. The server is not affected; --dir DIR records elsewhere");
    words.say_once(Subject::Recording, &text);
}
