//! How much of an event the database keeps: the longest of each value, and how many names it tells apart. Plain
//! numbers.

/// The longest error message that is kept, in characters; of a longer one the rest is cut, and `…` put there.
///
/// A value of the database that is longer than its limit, here and below, was cut, and no other is: this is how to tell
/// one that was cut from one that ends in `…` by itself. (The log keeps everything but messages whole.)
pub const ERROR_MSG_CHARS_MAX: usize = 512;
/// The longest request id and session id in the database, in bytes. A longer one is cut, and `…` and 32 hexadecimal
/// digits follow, the first half of the whole one's SHA-256; so different ids stay different. What an MCP server gives
/// out as a session id has some 40 characters; ids are keys of indexes, and the index of a long one is slow and large.
pub const ID_BYTES_MAX: usize = 256;
/// The longest name in the database, in bytes: of proxies, methods, tools, clients, their versions and platforms, error
/// codes, protocol versions, JSON-RPC ids. Longer ones are cut like ids. Names fill a terminal's line and are repeated
/// in every list.
pub const NAME_BYTES_MAX: usize = 256;
/// The longest address in the database, in bytes: targets and URLs of servers. Longer ones are cut like ids. No browser
/// or server can be relied on to take more than this in a URL.
pub const ADDRESS_BYTES_MAX: usize = 2048;
/// The longest name of who asked ([`Request::principal`](crate::Request::principal)) in the database, in bytes: a
/// salted digest in hexadecimal has 64. Longer ones are cut like ids.
pub const PRINCIPAL_BYTES_MAX: usize = 64;
/// The largest schema payload in the database, in bytes. Of a larger one, size and SHA-256 are kept, and of each of its items
/// name, size and SHA-256, so that its changes are told by item ([`abridge`](crate::abridged::abridge) has the form). Comparing
/// two of this size takes tens of megabytes and milliseconds.
pub const SCHEMA_PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// How many changes between two schema versions are listed; where there are more, the change is `updated`.
pub const SCHEMA_CHANGES_MAX: usize = 4096;

/// How many different calls (proxy, method, tool, endpoint and direction) the database tells apart. Each has roll-ups
/// of its own, and statistics over all of them read all of those; without a limit, a client that makes up tools would
/// fill the database.
///
/// The first ones keep their names, and further ones go under [`OTHER_NAME`]: as the tool, where up to [`OTHERS_MAX`]
/// of those are known, else as proxy and method too. So which calls keep their names depends on the order of events;
/// nothing else does.
pub const CALLS_MAX: usize = 4096;
/// How many different endpoints calls tell apart; further ones go under [`OTHER_NAME`], so that a client that makes up paths
/// does not take the names of other servers' tools. A row keeps its own endpoint in any case.
pub const ENDPOINTS_MAX: usize = 256;
/// How many different clients (name, version and platform) the database tells apart; further ones go under
/// [`OTHER_NAME`], as the version or else as the name.
pub const CLIENTS_MAX: usize = 4096;
/// How many different proxies' names sessions tell apart; further ones go under [`OTHER_NAME`].
pub const PROXIES_MAX: usize = 1024;
/// How many calls, and how many clients, may go partly under [`OTHER_NAME`] beside those that have their own names.
pub const OTHERS_MAX: usize = 256;
/// The name of all that are too many.
pub const OTHER_NAME: &str = "(other)";
