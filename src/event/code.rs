//! The fields that have one of a few named values.
//!
//! Each value has a name, which tables, JSON and people see, and a number, which stands for it in memory, in the log
//! and in the database. Both are stable: values are only ever added. Pure.

/// One of a few named values.
pub trait Code: Copy + Eq + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The name that tables, JSON and people see.
    fn as_str(self) -> &'static str;

    /// The number that stands for the value in memory, in the log and in the database.
    fn number(self) -> u8;

    /// The value with that number, or `None`.
    fn with_number(number: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| u64::from(code.number()) == number)
    }

    /// The value with that name, or `None`.
    fn with_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

/// Declares an enumeration with a number and a name for each value.
macro_rules! codes {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $number:literal $text:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])* $value = $number,)*
        }

        impl $name {
            /// The name that tables, JSON and people see.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }

            /// The value with that name, or `None`.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::with_name(name)
            }
        }

        impl Code for $name {
            const ALL: &'static [Self] = &[$(Self::$value,)*];

            fn as_str(self) -> &'static str {
                self.as_str()
            }

            fn number(self) -> u8 {
                self as u8
            }
        }
    };
}

pub(super) use codes;

codes! {
    /// How a request ended, at the protocol level. [`Outcome`](super::Outcome) says more.
    ///
    /// A tool that reports its own failure (`isError: true`) is [`Status::Ok`] here and says so in
    /// [`Request::tool_error`](crate::Request::tool_error).
    Status {
        /// A JSON-RPC result arrived.
        Ok = 0 "ok",
        /// A JSON-RPC error arrived, or the exchange broke off.
        Error = 1 "error",
        /// No response arrived within the proxy's time limit.
        Timeout = 2 "timeout",
    }
}

codes! {
    /// How a request reached the server.
    Transport {
        /// HTTP, with one answer to a request or a stream of them (2025-03-26 and later).
        Http = 1 "http",
        /// HTTP with server-sent events, as in revision 2024-11-05.
        Sse = 2 "sse",
        /// The standard input and output of a process.
        Stdio = 3 "stdio",
    }
}

codes! {
    /// Who asked.
    Direction {
        /// The client asked the server.
        Client = 1 "client",
        /// The server asked the client: sampling, elicitation, roots.
        Server = 2 "server",
    }
}

impl Status {
    /// The status with that number. No other number is ever written: whoever reads one made it with [`Code::number`],
    /// and the column has a CHECK.
    pub(crate) fn from_number(number: i64) -> Self {
        u64::try_from(number).ok().and_then(Self::with_number).unwrap_or(Self::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    fn each_name_and_number_leads_back<C: Code + Debug>(names: &[&str]) {
        assert_eq!(C::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>(), names);
        for code in C::ALL {
            assert_eq!(C::with_name(code.as_str()), Some(*code));
            assert_eq!(C::with_number(code.number().into()), Some(*code));
        }
        assert_eq!((C::with_name(""), C::with_number(99)), (None, None));
    }

    #[test]
    fn names_and_numbers_are_stable_and_lead_back_to_the_value() {
        each_name_and_number_leads_back::<Status>(&["ok", "error", "timeout"]);
        each_name_and_number_leads_back::<Transport>(&["http", "sse", "stdio"]);
        each_name_and_number_leads_back::<Direction>(&["client", "server"]);
        assert_eq!(Status::ALL.iter().map(|status| status.number()).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((Transport::Http.number(), Transport::Stdio.number()), (1, 3));
        assert_eq!((Direction::Client.number(), Direction::Server.number()), (1, 2));
    }
}
