//! Embedding mcplog in a proxy of your own: open a store, record from any thread, query, shut down.
//!
//! Run it with `cargo run --example embed -- /tmp/my-store`.

use mcplog::{Config, Request, Session, Status, Store};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `mcplog::default_dir()` is where the commands look without being told: right for a program, wrong for what an example
    // makes up.
    let dir = std::env::args().nth(1).unwrap_or_else(|| "mcplog-data".into());
    let store = Store::open(Config::new(dir))?;

    // Recorders are cheap to clone and never block: give one to each of your threads.
    let recorder = store.recorder();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;

    let mut session = Session::new("0123456789abcdef0123456789abcdef", now, "my-proxy");
    session.client_name = Some("claude-code");
    recorder.record(session);

    let mut request = Request::new("0197a1c0-7b1e-7cc3-98c4-dc0c0c07398f", now, "my-proxy", "tools/call");
    request.session_id = Some("0123456789abcdef0123456789abcdef");
    request.tool = Some("search");
    request.latency_us = 1_840;
    request.status = Status::Ok;
    recorder.record(request);

    // Durable: safe from a power cut. Folded: visible to queries. Neither is needed for safety from a crash of the
    // process; both happen by themselves within a fraction of a second.
    store.flush(Duration::from_secs(5))?;
    store.wait_folded(Duration::from_secs(5))?;
    println!("{}: {:?}", store.database().display(), store.stats());

    let report = store.shutdown(Duration::from_secs(5));
    println!("appended {}, folded {}, lost {}", report.appended, report.folded, report.dropped);
    Ok(())
}
