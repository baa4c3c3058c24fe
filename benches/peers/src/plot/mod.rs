//! Two plots from the results, drawn in this process as SVG. Measures nothing.

mod chart;
mod draw;

pub(crate) use draw::plot;
