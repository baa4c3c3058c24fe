//! A client as clients are: it reads its own configuration file, starts the servers in it, and uses what they offer.
//!
//! The programs that such files name are played by a script, so that nothing is fetched or installed.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use super::client_home::ClientHome;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

/// How often a client calls the one tool of each server.
pub(crate) const CALLS: usize = 3;
/// The one tool of each server.
pub(crate) const TOOL: &str = "echo";

/// Whatever it is called and told, it is a server with one tool.
const SERVER: &str = r#"#!/bin/sh
while read -r line; do
    id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
    case $line in
    *'"initialize"'*) result='"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"s","version":"1"}' ;;
    *'"tools/list"'*) result='"tools":[{"name":"echo","inputSchema":{"type":"object"}}]' ;;
    *'"tools/call"'*) result='"content":[{"type":"text","text":"hello"}]' ;;
    *) continue ;;
    esac
    printf '{"jsonrpc":"2.0","id":%s,"result":{%s}}\n' "$id" "$result"
done
"#;
/// The programs that start servers in the files of the fixtures, and in the guide.
const PROGRAMS: [&str; 5] = ["npx", "uvx", "docker", "node", "everything-server"];

/// A client, and where its servers stand.
pub(crate) struct ScriptedClient<'a> {
    pub(crate) home: &'a ClientHome,
    /// As it names itself to servers.
    pub(crate) name: &'static str,
    /// Its configuration file, in the home.
    pub(crate) file: &'a str,
    /// The member that holds the servers.
    pub(crate) key: &'static str,
}

impl ScriptedClient<'_> {
    /// Puts the programs where the client finds them, and nobody else.
    pub(crate) fn install_servers(&self) {
        for program in PROGRAMS {
            let path = self.home.write(&format!("programs/{program}"), SERVER);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// The names of the servers in its file that can be started here.
    pub(crate) fn servers(&self) -> Vec<String> {
        self.entries().into_iter().filter(|(_, entry)| is_played(entry)).map(|(name, _)| name).collect()
    }

    /// Starts the servers of these names as its file says, all of them at once, and uses each.
    pub(crate) fn uses(&self, servers: &[String]) {
        let entries = self.entries().into_iter().filter(|(name, _)| servers.contains(name));
        let started: Vec<_> = entries.map(|(name, entry)| (name, self.start(&entry))).collect();
        assert_eq!(started.len(), servers.len(), "{servers:?}");
        for (name, mut server) in started {
            self.talk_to(&mut server);
            let status = server.wait().unwrap();
            assert!(status.success(), "{name} ended with {status}");
        }
    }

    /// The servers of the file, those of its project behind them.
    fn entries(&self) -> Vec<(String, Value)> {
        let file: Value = serde_json::from_str(&without_comments(&self.home.read(self.file))).unwrap();
        let project = self.home.path("work/project");
        let servers = [&file[self.key], &file["projects"][project.to_str().unwrap()][self.key]];
        let members = servers.into_iter().filter_map(Value::as_object).flatten();
        members.map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    fn start(&self, entry: &Value) -> Child {
        let mut command = Command::new(entry["command"].as_str().unwrap());
        for argument in entry["args"].as_array().into_iter().flatten() {
            command.arg(argument.as_str().unwrap());
        }
        // The few variables that a client's SDK hands on, and those of the entry.
        command.env_clear().env("HOME", self.home.path(""));
        command.env("PATH", format!("{}:/usr/bin:/bin", self.home.path("programs").display()));
        for (name, value) in entry["env"].as_object().into_iter().flatten() {
            command.env(name, value.as_str().unwrap());
        }
        command.current_dir(self.home.path("work/project"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
    }

    fn talk_to(&self, server: &mut Child) {
        let mut input = server.stdin.take().unwrap();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        let mut ask = |id: usize, method: &str, params: Value| {
            writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).unwrap();
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
            assert_eq!(answer["id"], id, "{answer}");
            assert!(answer["result"].is_object(), "{answer}");
        };
        let client = json!({"name": self.name, "version": "1.0"});
        let about = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        ask(0, "initialize", about);
        ask(1, "tools/list", json!({}));
        for call in 0..CALLS {
            ask(2 + call, "tools/call", json!({"name": TOOL, "arguments": {}}));
        }
    }
}

/// Whether a script plays the program of an entry.
fn is_played(entry: &Value) -> bool {
    entry["command"].as_str().is_some_and(|command| PROGRAMS.contains(&command))
}

/// JSON of a text that may have comments, and commas before a closing bracket.
fn without_comments(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = match next {
            '"' => {
                let length = string_length(rest);
                plain.push_str(&rest[..length]);
                length
            }
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '}' | ']' => {
                let kept = plain.trim_end().trim_end_matches(',').len();
                plain.truncate(kept);
                plain.push(next);
                1
            }
            _ => {
                plain.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[skipped..];
    }
    plain
}

/// The bytes of the string with which the text begins, quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
