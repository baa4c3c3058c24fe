//! mrecordlog: one queue, synced at the first append that is 100 ms later than the last sync (mcplog's default interval).
//!
//! It is asynchronous and needs exclusive access. Its callers here are threads, so it sits behind a plain mutex, whose holder
//! runs the append to its end; behind a tokio mutex, four threads were twenty times slower than one.

use measure::log::Failure;
use measure::{Event, Log, Writer};
use mrecordlog::{MultiRecordLog, SyncPolicy};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Handle as RuntimeHandle, Runtime};

const QUEUE: &str = "events";
const SYNC_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) struct RecordLog {
    runtime: Runtime,
    log: Arc<Mutex<MultiRecordLog>>,
    dir: PathBuf,
}

impl Log for RecordLog {
    type Writer = Handle;

    fn open(dir: &Path) -> Result<Self, Failure> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let log = runtime.block_on(async {
            let mut log = open(dir).await?;
            log.create_queue(QUEUE).await?;
            Ok::<_, Failure>(log)
        })?;
        Ok(Self { runtime, log: Arc::new(Mutex::new(log)), dir: dir.into() })
    }

    fn writer(&self) -> Result<Handle, Failure> {
        let runtime = self.runtime.handle().clone();
        Ok(Handle { runtime, log: Arc::clone(&self.log), bytes: Vec::with_capacity(512) })
    }

    fn close(self) -> Result<Option<u64>, Failure> {
        self.runtime.block_on(async {
            let log = Arc::into_inner(self.log).ok_or("a writer is left")?.into_inner();
            let mut log = log.map_err(|_| "a thread panicked in it")?;
            log.sync().await?;
            drop(log);
            let log = open(&self.dir).await?;
            let events = log.range(QUEUE, ..).map_err(|_| "the queue is gone")?.count() as u64;
            Ok(Some(events))
        })
    }
}

async fn open(dir: &Path) -> Result<MultiRecordLog, Failure> {
    Ok(MultiRecordLog::open_with_prefs(dir, SyncPolicy::OnDelay(SYNC_INTERVAL)).await?)
}

pub(crate) struct Handle {
    runtime: RuntimeHandle,
    log: Arc<Mutex<MultiRecordLog>>,
    bytes: Vec<u8>,
}

impl Writer for Handle {
    #[inline]
    fn hand_over(&mut self, event: &Event<'_>) {
        event.encode_into(&mut self.bytes);
        let mut log = self.log.lock().expect("no thread panicked in an append");
        // A refused record is found missing when the log is opened again.
        let _ = self.runtime.block_on(log.append_record(QUEUE, None, self.bytes.as_slice()));
    }
}
