//! What the recording proxy costs: the same upstream under the same load, reached in four ways.
//!
//! Each way is a process of its own, and so are the upstream and the load generator (wrk). All share the processors, so
//! that throughput is what one request costs all of them together; the added latency is told by one connection alone.

mod load;
mod plain;
mod rest;
mod upstream;

use crate::child;
use crate::report::{percent, thousands, times};
use load::Measured;
use measure::log::Failure;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) use plain::run as run_plain;
pub(crate) use rest::{AtRest, report as report_at_rest};
pub(crate) use upstream::run as run_upstream;

/// How requests reach the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// Straight.
    Direct,
    /// Through a hyper reverse proxy that looks at nothing.
    Plain,
    /// Through `mcplog proxy` that was told not to record.
    Silent,
    /// Through `mcplog proxy`.
    Recording,
}

impl Way {
    const ALL: [Self; 4] = [Self::Direct, Self::Plain, Self::Silent, Self::Recording];

    fn label(self) -> &'static str {
        match self {
            Self::Direct => "the upstream alone",
            Self::Plain => "a plain hyper proxy",
            Self::Silent => "mcplog proxy, recording off",
            Self::Recording => "mcplog proxy, recording",
        }
    }
}

/// How the upstream answers, and how many connections ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// As an event stream, instead of as JSON.
    sse: bool,
    connections: u32,
}

const LOADS: [Load; 4] = [
    Load { sse: false, connections: 32 },
    Load { sse: true, connections: 32 },
    Load { sse: false, connections: 1 },
    Load { sse: true, connections: 1 },
];

/// One run of the load generator.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProxyRun {
    way: Way,
    load: Load,
    measured: Measured,
}

/// Measures all ways under all loads, interleaved; and then what the proxies cost when nobody talks to them.
///
/// # Errors
/// Something did not start, or wrk is not installed.
pub(crate) fn measure(
    rounds: u32,
    seconds: u32,
    data_dir: Option<&Path>,
) -> Result<(Vec<ProxyRun>, Vec<AtRest>), Failure> {
    let program = std::env::current_exe()?;
    let data = tempfile::tempdir_in(child::data_dir(data_dir)?)?;
    let mcplog = child::build_mcplog()?;
    let upstream = Process::start(Command::new(&program).arg("serve-upstream"))?;
    let url = format!("http://{}/mcp", upstream.address);
    let plain = Process::start(Command::new(&program).args(["serve-plain", &upstream.address.to_string()]))?;
    let proxy = |name: &str, flags: &[&str]| {
        let dir: PathBuf = data.path().join(name);
        let mut command = Command::new(&mcplog);
        command.args(["proxy", "--listen", "127.0.0.1:0", "--upstream", &url, "--dir"]).arg(dir).args(flags);
        Process::start(&mut command)
    };
    let (silent, recording) = (proxy("silent", &["--no-record"])?, proxy("recording", &[])?);
    let script = data.path().join("call.lua");
    std::fs::write(&script, load::SCRIPT)?;
    let mut runs = Vec::new();
    for round in 0..rounds {
        for load in LOADS {
            for way in Way::ALL {
                eprintln!("Proxy, round {} of {rounds}: {}", round + 1, way.label());
                let process = match way {
                    Way::Direct => &upstream,
                    Way::Plain => &plain,
                    Way::Silent => &silent,
                    Way::Recording => &recording,
                };
                let path = if load.sse { "/mcp/stream" } else { "/mcp" };
                let url = format!("http://{}{path}", process.address);
                let measured = load::measure(&url, load.connections, seconds, &script)?;
                runs.push(ProxyRun { way, load, measured });
            }
        }
    }
    let watched = [(Way::Plain, &plain), (Way::Silent, &silent), (Way::Recording, &recording)];
    let at_rest = rest::watch(&watched.map(|(way, process)| (way, process.child.id())))?;
    Ok((runs, at_rest))
}

/// The table of all runs; nothing if there are none.
pub(crate) fn report(runs: &[ProxyRun]) -> String {
    let mut text = String::new();
    for load in LOADS {
        let of = |way: Way| {
            Measured::median(runs.iter().filter(|run| run.way == way && run.load == load).map(|run| run.measured))
        };
        let (Some(direct), Some(silent)) = (of(Way::Direct), of(Way::Silent)) else { continue };
        let answer = if load.sse { "event stream" } else { "JSON" };
        let plural = if load.connections == 1 { "" } else { "s" };
        let title = format!("tools/call, {answer}, {} connection{plural}", load.connections);
        let _ = writeln!(
            text,
            "\n{title:<36} {:>11} {:>11} {:>9} {:>9} {:>9} {:>6}",
            "requests/s", "of not rec.", "p50 us", "added", "p99 us", "failed"
        );
        for way in Way::ALL {
            let Some(measured) = of(way) else { continue };
            let _ = writeln!(
                text,
                "{:<36} {:>11} {:>11} {:>9} {:>9} {:>9} {:>6}",
                way.label(),
                thousands(measured.requests_per_s),
                share(measured.requests_per_s, silent.requests_per_s),
                thousands(measured.p50_us),
                thousands(measured.p50_us.saturating_sub(direct.p50_us)),
                thousands(measured.p99_us),
                measured.failed
            );
        }
    }
    text
}

fn share(rate: u64, reference: u64) -> String {
    let share = rate as f64 / reference.max(1) as f64;
    if share > 1.0 { format!("{}x", times(share)) } else { percent(share) }
}

/// A server that runs. Ended when dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts it and waits for the address that it prints.
    fn start(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let mut process = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        for line in BufReader::new(stdout).lines() {
            if let Some((_, address)) = line?.split_once("http://") {
                let address = address.split('/').next().unwrap_or_default();
                process.address = address.parse()?;
                return Ok(process);
            }
        }
        Err(format!("{:?} ended without an address", command.get_program()).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which the runs will have noticed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
