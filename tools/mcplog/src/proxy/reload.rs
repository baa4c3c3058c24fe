//! What becomes of settings that are read again while the proxy runs: what is taken over, and what wants a restart.
//!
//! Pure.

use super::config::Settings;
use std::fmt::Debug;

/// The keys whose values differ and are not taken over, as the configuration file names them.
pub(super) fn wants_restart(running: &Settings, read: &Settings) -> Vec<&'static str> {
    let keys = keys(running);
    let mut differing: Vec<&'static str> =
        keys.iter().zip(self::keys(read)).filter(|(a, b)| a.1 != b.1).map(|(key, _)| key.0).collect();
    let rest = |settings: &Settings| {
        let mut settings = settings.clone();
        settings.proxy.drain = running.proxy.drain;
        settings.proxy.keeps_error_text = running.proxy.keeps_error_text;
        shown(&settings)
    };
    if differing.is_empty() && rest(running) != rest(read) {
        differing.push("other settings");
    }
    differing
}

/// Each key that is not taken over, with its value as something to compare.
fn keys(settings: &Settings) -> [(&'static str, String); 17] {
    let Settings { proxy, admin, log, store, require_recording, .. } = settings;
    [
        ("listen", shown(&proxy.listen)),
        ("head_timeout", shown(&proxy.client_limits.head)),
        ("body_timeout", shown(&proxy.body_timeout)),
        ("idle_timeout", shown(&proxy.client_limits.idle)),
        ("max_connections", shown(&proxy.max_connections)),
        ("log_level", shown(&log.level)),
        ("log_format", shown(&log.format)),
        ("access_log", shown(&log.access)),
        ("[[upstream]] url", shown(&proxy.upstream)),
        ("[[upstream]] name", shown(&proxy.name)),
        ("[[upstream]] timeout", shown(&proxy.upstream_timeout)),
        ("[[upstream]] connect_timeout", shown(&proxy.connect_timeout)),
        ("[[upstream]] rewrite_host", shown(&proxy.rewrite_host)),
        ("[[upstream]] ca_file", shown(&proxy.ca_file)),
        ("[admin] listen", shown(admin)),
        ("[store]", shown(store)),
        ("[store] require_recording", shown(require_recording)),
    ]
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::config::ProxyArgs;
    use std::path::PathBuf;
    use std::time::Duration;

    fn settings(change: impl FnOnce(&mut ProxyArgs)) -> Settings {
        let mut args = ProxyArgs { upstream: Some("http://h/mcp".into()), ..ProxyArgs::default() };
        change(&mut args);
        Settings::resolve(args).unwrap()
    }

    #[test]
    fn what_differs_and_is_not_taken_over_is_named() {
        let running = settings(|_| {});
        type Change = fn(&mut ProxyArgs);
        let cases: [(Change, &[&str]); 9] = [
            (
                |args| (args.log_level, args.access_log) = (Some("off".into()), Some(PathBuf::from("-"))),
                &["log_level", "access_log"],
            ),
            (|_| {}, &[]),
            (|args| args.no_error_text = true, &[]),
            (|args| args.drain = Some(Duration::from_secs(9)), &[]),
            (|args| args.listen = Some("127.0.0.1:1".into()), &["listen"]),
            (|args| args.upstream = Some("http://h/other".into()), &["[[upstream]] url"]),
            (
                |args| (args.admin, args.dir) = (Some("127.0.0.1:2".into()), Some(PathBuf::from("x"))),
                &["[admin] listen", "[store]"],
            ),
            (
                |args| {
                    (args.head_timeout, args.body_timeout) =
                        (Some(Duration::from_secs(9)), Some(Duration::from_secs(9)));
                    (args.idle_timeout, args.max_connections) = (Some(Duration::from_secs(9)), Some(9));
                    args.require_recording = true;
                },
                &["head_timeout", "body_timeout", "idle_timeout", "max_connections", "[store] require_recording"],
            ),
            (|args| args.no_record = true, &["other settings"]),
        ];
        for (change, expected) in cases {
            assert_eq!(wants_restart(&running, &settings(change)), expected);
        }
    }
}
