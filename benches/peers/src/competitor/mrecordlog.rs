//! mrecordlog: one queue, synced at the first append that is 100 ms later than the last sync (mcplog's default interval).
//!
//! It is asynchronous and needs exclusive access, so it sits behind a tokio mutex, as it does where it is used. Its callers
//! here are threads that wait for it.

use measure::log::Failure;
use measure::{Event, Log, Writer};
use mrecordlog::{MultiRecordLog, SyncPolicy};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle as RuntimeHandle, Runtime};
use tokio::sync::Mutex;

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
            self.log.lock().await.sync().await?;
            drop(self.log);
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
        // A refused record is found missing when the log is opened again.
        let _ = self.runtime.block_on(async {
            let mut log = self.log.lock().await;
            log.append_record(QUEUE, None, self.bytes.as_slice()).await
        });
    }
}
