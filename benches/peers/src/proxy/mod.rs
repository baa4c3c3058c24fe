//! What the recording proxy costs: the same upstream under the same load, reached in four ways.
//!
//! Each way is a process of its own, and so are the upstream and the load generator (wrk). All share the processors, so
//! that throughput is what one request costs all of them together; the added latency is told by one connection alone.

mod measure;
mod plain;
mod process;
mod report;
mod rest;
mod run;
mod upstream;
mod way;
mod wrk;

pub(crate) use measure::measure;
pub(crate) use plain::run as run_plain;
pub(crate) use report::report;
pub(crate) use rest::{AtRest, report as report_at_rest};
pub(crate) use run::ProxyRun;
pub(crate) use upstream::run as run_upstream;
