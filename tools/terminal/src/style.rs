//! How things look: the few styles that all output is made of.
//!
//! Pure data.

use anstyle::{AnsiColor, Style};

/// Nothing in particular.
pub const PLAIN: Style = Style::new();
/// Headers, titles, and what a line is about.
pub const HEADER: Style = Style::new().bold();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What deserves a look.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// What failed.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Names that people look for.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// The word `error:` before a message.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
