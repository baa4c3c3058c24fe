//! The two parties of a pipe.
//!
//! Pure data.

/// Who sends what passes on one of a pipe's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client that started the server: its bytes go to the server's standard input.
    Client,
    /// The server: its bytes come from its standard output.
    Server,
}
