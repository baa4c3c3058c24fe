//! The two parties of a pipe.
//!
//! Pure data.

use mcplog::event::Direction;

/// Who sends what passes on one of a pipe's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client that started the server: its bytes go to the server's standard input.
    Client,
    /// The server: its bytes come from its standard output.
    Server,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The direction of what that side asks for.
    pub(super) fn asks(self) -> Direction {
        match self {
            Self::Client => Direction::Client,
            Self::Server => Direction::Server,
        }
    }
}
