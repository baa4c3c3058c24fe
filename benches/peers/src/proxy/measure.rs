//! Measures the ways in turn, each server in a process of its own.

use super::process::Process;
use super::rest::{self, AtRest};
use super::run::{LOADS, ProxyRun};
use super::way::Way;
use super::wrk;
use crate::child;
use measure::log::Failure;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    std::fs::write(&script, wrk::SCRIPT)?;
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
                let measured = wrk::measure(&url, load.connections, seconds, &script)?;
                runs.push(ProxyRun { way, load, measured });
            }
        }
    }
    let watched = [(Way::Plain, &plain), (Way::Silent, &silent), (Way::Recording, &recording)];
    let at_rest = rest::watch(&watched.map(|(way, process)| (way, process.id())))?;
    Ok((runs, at_rest))
}
