//! The load generator: wrk with keep-alive, each request one `tools/call`.

use measure::log::Failure;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// What wrk sends, and how it tells what came of it: one line that a program can read.
pub(super) const SCRIPT: &str = r#"
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["accept"] = "application/json, text/event-stream"
wrk.headers["mcp-session-id"] = "0d7b2c9e4f6a48118e0c5a9b7d3f1e62"
wrk.headers["mcp-protocol-version"] = "2025-06-18"

local id = 0
request = function()
  id = id + 1
  return wrk.format(nil, nil, nil, '{"jsonrpc":"2.0","id":' .. id ..
    ',"method":"tools/call","params":{"name":"search","arguments":{"query":"write-ahead log","limit":20}}}')
end

done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("MEASURED %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"#;

/// What came of one run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) requests_per_s: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) failed: u64,
}

impl Measured {
    /// The median of each number; failures are added up.
    pub(super) fn median(runs: impl Iterator<Item = Self>) -> Option<Self> {
        let runs: Vec<Self> = runs.collect();
        let median_of = |number: fn(&Self) -> u64| {
            let mut numbers: Vec<u64> = runs.iter().map(number).collect();
            numbers.sort_unstable();
            numbers.get(numbers.len() / 2).copied()
        };
        Some(Self {
            requests_per_s: median_of(|run| run.requests_per_s)?,
            p50_us: median_of(|run| run.p50_us)?,
            p99_us: median_of(|run| run.p99_us)?,
            failed: runs.iter().map(|run| run.failed).sum(),
        })
    }
}

/// Asks `url` for so long over so many connections.
pub(super) fn measure(url: &str, connections: u32, seconds: u32, script: &Path) -> Result<Measured, Failure> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &connections.to_string(), "--duration", &format!("{seconds}s")])
        .arg("--script")
        .arg(script)
        .arg(url)
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::from("the proxy's load comes from wrk, which is not installed"),
            _ => error.into(),
        })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("MEASURED ")).ok_or_else(|| {
        format!("wrk ended with {} and measured nothing: {}", output.status, String::from_utf8_lossy(&output.stderr))
    })?;
    let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let &[requests, duration_us, p50_us, p99_us, failed] = numbers.as_slice() else {
        return Err(format!("wrk said {line:?}").into());
    };
    let requests_per_s = requests.saturating_mul(1_000_000) / duration_us.max(1);
    Ok(Measured { requests_per_s, p50_us, p99_us, failed })
}
