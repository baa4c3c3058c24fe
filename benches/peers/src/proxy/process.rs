//! A server in a process of its own: the upstream, or one of the proxies.

use measure::log::Failure;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A server that runs. Ended when dropped.
pub(super) struct Process {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Process {
    /// Starts it and waits for the address that it prints.
    pub(super) fn start(command: &mut Command) -> Result<Self, Failure> {
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

    /// The kernel's number for it.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which the runs will have noticed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
