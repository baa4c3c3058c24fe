//! Many processes that record into one store: how fast one of them folds for all, how soon an event is in the table, and
//! what idle ones cost.
//!
//! `cargo bench --bench many -- [SECONDS] [--writers COUNT]`; a minute and twenty writers unless it is said otherwise. The
//! writers are this program, started again. Folding with one writer is measured first, in the same run: what the others
//! are held against.

use hdrhistogram::Histogram;
use mcplog::{Config, Request, Store};
use rusqlite::{Connection, OpenFlags};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The first argument of a writer.
const WRITER: &str = "--as-writer";
const PATIENCE: Duration = Duration::from_secs(600);
/// How long folding is measured with one writer and with many that offer all they can.
const SATURATED: Duration = Duration::from_secs(15);
/// Before that: until caches are warm, and a backlog is there.
const WARM_UP: Duration = Duration::from_secs(3);
/// How often the tables are looked at: an event seems later by so much at most.
const LOOK: Duration = Duration::from_millis(20);
/// How many idle writers are watched, and for how long.
const IDLE: usize = 10;
const IDLE_WATCH: Duration = Duration::from_secs(15);
/// Sessions of each writer.
const SESSIONS: u64 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // `cargo test --benches` only asks whether it runs.
        ["--test", ..] => {}
        [WRITER, dir, rate, seconds] => {
            write(Path::new(dir), rate.parse().expect("a rate"), seconds.parse().expect("seconds"));
        }
        [] => measure(60, 20),
        [seconds] => measure(seconds.parse().expect("SECONDS"), 20),
        ["--writers", writers] => measure(60, writers.parse().expect("COUNT")),
        [seconds, "--writers", writers] => {
            measure(seconds.parse().expect("SECONDS"), writers.parse().expect("COUNT"));
        }
        other => panic!("[SECONDS] [--writers COUNT], not {other:?}"),
    }
}

fn measure(seconds: u64, writers: u64) {
    // Beside the build, not in /tmp, which may be memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let one = saturated(&dir.path().join("one"), 1);
    println!("{:<44} {one:>10} records/s", "folding, 1 writer that offers all it can");
    let many = saturated(&dir.path().join("many"), writers);
    let what = format!("folding, {writers} writers that offer all they can");
    println!("{what:<44} {many:>10} records/s, {:.2} of that", many as f64 / one as f64);
    paced(&dir.path().join("paced"), seconds, writers, one / 2);
    idle(&dir.path().join("idle"));
}

/// The rows that are folded in a second while so many offer more than that.
fn saturated(dir: &Path, writers: u64) -> u64 {
    let lived = (WARM_UP + SATURATED).as_secs() + 2;
    let children: Vec<_> = (0..writers).map(|_| Writer::start(dir, 0, lived)).collect();
    let table = Table::of(dir);
    std::thread::sleep(WARM_UP);
    let (first, start) = (table.newest(), Instant::now());
    std::thread::sleep(SATURATED);
    let rows = u64::try_from(table.newest() - first).expect("ids that ascend");
    let rate = rows * 1_000_000 / u64::try_from(start.elapsed().as_micros()).expect("seconds");
    let sums =
        children.into_iter().map(Writer::end).fold([0, 0], |sum, report| [sum[0] + report[0], sum[1] + report[1]]);
    table.assert_holds(dir, sums);
    rate
}

/// How soon an event is in the table, while so many together offer `rate` in a second.
fn paced(dir: &Path, seconds: u64, writers: u64, rate: u64) {
    let each = (rate / writers).max(1);
    let children: Vec<_> = (0..writers).map(|_| Writer::start(dir, each, seconds)).collect();
    let table = Table::of(dir);
    let mut seen = Histogram::<u64>::new(3).expect("a histogram");
    let (start, mut last) = (Instant::now(), table.newest());
    while start.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(LOOK);
        last = table.see(last, &mut seen);
    }
    let sums =
        children.into_iter().map(Writer::end).fold([0, 0], |sum, report| [sum[0] + report[0], sum[1] + report[1]]);
    table.assert_holds(dir, sums);
    let [p50, p99, max] = [seen.value_at_quantile(0.5), seen.value_at_quantile(0.99), seen.max()];
    let what = format!("{writers} writers, {} events/s, {seconds} s", each * writers);
    println!("{what:<44} {:>10} in the table, {} dropped", sums[0], sums[1]);
    println!("{:<44} {p50:>10} ms p50, {p99} ms p99, {max} ms at most", "  from record to the table");
}

/// What writers cost that have recorded a little and do nothing more.
fn idle(dir: &Path) {
    let children: Vec<_> = (0..IDLE).map(|_| Writer::start(dir, 1, 1 + 4 * IDLE_WATCH.as_secs())).collect();
    // Each records one event in a second: after the first ones they are as idle as wrapped servers are.
    std::thread::sleep(Duration::from_secs(12));
    let pids: Vec<_> = children.iter().map(|writer| writer.child.id()).collect();
    let (before, start) = (pids.iter().map(|pid| busy_ms(*pid)).sum::<f64>(), Instant::now());
    std::thread::sleep(IDLE_WATCH);
    let percent = (pids.iter().map(|pid| busy_ms(*pid)).sum::<f64>() - before) / 10.0 / start.elapsed().as_secs_f64();
    let mut resident: Vec<_> = pids.iter().map(|pid| resident_kib(*pid) >> 10).collect();
    resident.sort_unstable();
    println!("{:<44} {percent:>10.2} % of a core, resident {resident:?} MiB", format!("{IDLE} idle writers"));
    children.into_iter().for_each(|mut writer| {
        writer.child.kill().expect("kill");
        writer.child.wait().expect("wait");
    });
}

/// Another process.
struct Writer {
    child: Child,
}

impl Writer {
    fn start(dir: &Path, rate: u64, seconds: u64) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.arg(WRITER).arg(dir).args([rate, seconds].map(|number| number.to_string()));
        Self { child: command.stdout(Stdio::piped()).spawn().expect("start a writer") }
    }

    /// How many events it appended, and how many were dropped.
    fn end(mut self) -> [u64; 2] {
        let mut line = String::new();
        BufReader::new(self.child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a report");
        assert!(self.child.wait().expect("wait").success());
        let mut numbers = line.split_whitespace().map(|number| number.parse().expect("a number"));
        [numbers.next().expect("appended"), numbers.next().expect("dropped")]
    }
}

/// The other process's work: `rate` events in a second, evenly, or as many as the store takes if that is 0.
fn write(dir: &Path, rate: u64, seconds: u64) {
    let mut config = Config::new(dir);
    if rate == 0 {
        config.record_wait_ms = 60_000;
        // More than folding takes, and not so much that the disk is full.
        config.max_log_bytes = 64 << 20;
    }
    let store = Store::open(config).expect("open");
    let (recorder, pid) = (store.recorder(), std::process::id());
    let (start, lived) = (Instant::now(), Duration::from_secs(seconds));
    let sessions: Vec<_> = (0..SESSIONS).map(|session| format!("{pid:08x}-{session}")).collect();
    for number in 0_u64.. {
        let elapsed = start.elapsed();
        if elapsed >= lived {
            break;
        }
        if rate > 0 {
            let due = Duration::from_secs_f64(number as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(elapsed));
        }
        let id = format!("{pid:08x}-7b1e-7cc3-98c4-{number:012x}");
        let mut request = Request::new(&id, now_ms(), "files", "tools/call");
        request.session_id = Some(&sessions[(number % SESSIONS) as usize]);
        request.tool = Some(["search", "read_file", "write_file"][(number % 3) as usize]);
        (request.bytes_in, request.bytes_out) = (Some(180), Some(1_900));
        request.latency_us = 1_000 + (number as i64 * 7_919) % 90_000;
        recorder.record(request);
    }
    let report = store.shutdown(PATIENCE);
    println!("{} {}", report.appended, report.dropped);
}

/// The table of requests, for who looks at it.
struct Table(Connection);

impl Table {
    /// Waits until there is one.
    fn of(dir: &Path) -> Self {
        let start = Instant::now();
        loop {
            let opened = Connection::open_with_flags(dir.join("store.db"), OpenFlags::SQLITE_OPEN_READ_ONLY);
            if let Some(table) = opened.ok().map(Self).filter(|table| table.try_newest().is_ok()) {
                return table;
            }
            assert!(start.elapsed() < PATIENCE, "nobody folds");
            std::thread::sleep(LOOK);
        }
    }

    fn try_newest(&self) -> rusqlite::Result<i64> {
        self.0.query_row("SELECT coalesce(max(id), 0) FROM request_rows", [], |row| row.get(0))
    }

    fn newest(&self) -> i64 {
        self.try_newest().expect("an id")
    }

    /// Notes for how long each of those behind `last` was on its way; returns the last one.
    fn see(&self, last: i64, seen: &mut Histogram<u64>) -> i64 {
        let mut select = self.0.prepare_cached("SELECT id, ts FROM request_rows WHERE id > ?").expect("a statement");
        let mut rows = select.query([last]).expect("rows");
        // Of one moment, that at which they were asked for.
        let (now, mut newest) = (now_ms(), last);
        while let Some(row) = rows.next().expect("a row") {
            let (id, ts): (i64, i64) = (row.get(0).expect("an id"), row.get(1).expect("a time"));
            newest = newest.max(id);
            seen.record(u64::try_from(now - ts).unwrap_or(0)).expect("a time");
        }
        newest
    }

    /// Waits until everything that was appended is there; nothing is there twice.
    fn assert_holds(&self, dir: &Path, [appended, _]: [u64; 2]) {
        let count = || self.0.query_row("SELECT count(*) FROM request_rows", [], |row| row.get::<_, u64>(0));
        let start = Instant::now();
        // Whoever ended last may have left something to fold.
        let store = Store::open(Config::new(dir)).expect("open");
        while count().expect("a count") < appended {
            assert!(start.elapsed() < PATIENCE, "{} of {appended} are there", count().expect("a count"));
            std::thread::sleep(LOOK);
        }
        store.shutdown(PATIENCE);
        assert_eq!(count().expect("a count"), appended);
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    i64::try_from(now.as_millis()).expect("a time")
}

/// The processor time that a process has had.
fn busy_ms(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    // "busy_ns waiting_ns slices"
    let busy = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
    busy.filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok()).sum::<f64>() / 1e6
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}
