//! Random configurations of random servers: attached and detached, they are what they were, and nothing of a server that was
//! not meant ever changes.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod client_home;
mod common;

use client_home::ClientHome;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Json,
    Toml,
    Yaml,
}

/// A client with such a file: its name, the path, and the member that holds the servers.
fn client(style: Style) -> (&'static str, &'static str, &'static str) {
    match style {
        Style::Json => ("vscode", ".config/Code/User/mcp.json", "servers"),
        Style::Toml => ("codex", ".codex/config.toml", "mcp_servers"),
        Style::Yaml => ("continue", ".continue/config.yaml", "mcpServers"),
    }
}

#[derive(Clone, Debug)]
struct Server {
    name: String,
    /// `None`: it is asked over HTTP.
    command: Option<String>,
    arguments: Option<Vec<String>>,
    environment: Vec<(String, String)>,
    /// Lists a line for each item, or all on one.
    is_tall: bool,
    has_comments: bool,
    /// The arguments come before the command.
    is_turned: bool,
    is_meant: bool,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "-{1,2}[a-z]{0,6}",
        "[ -~]{0,12}",
        Just("${HOME}/x".to_owned()),
        Just("--".to_owned()),
        Just("ünï \"q\" 'a' \\ # // /*".to_owned()),
        Just("true".to_owned()),
        Just("007".to_owned()),
        Just("a: b".to_owned()),
    ]
}

fn server() -> impl Strategy<Value = Server> {
    let command = prop::option::weighted(0.8, "[a-z/.$\\{\\}@\\\\-]{1,12}");
    let arguments = prop::option::weighted(0.8, prop::collection::vec(text(), 0..5));
    let environment = prop::collection::vec(("[A-Z_]{1,8}", text()), 0..3);
    let name = prop_oneof!["[a-z]{1,8}", "[a-z.@/ -]{1,10}", Just("ünï \"q\"".to_owned())];
    (name, command, arguments, environment, any::<[bool; 4]>()).prop_map(
        |(name, command, arguments, environment, [is_tall, has_comments, is_turned, is_meant])| Server {
            name: name.trim().to_owned(),
            command,
            arguments,
            environment: environment.into_iter().collect::<std::collections::BTreeMap<_, _>>().into_iter().collect(),
            is_tall,
            has_comments,
            is_turned,
            is_meant,
        },
    )
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl Server {
    /// Its members as text, each with its value in JSON's words, which TOML and YAML read too.
    fn members(&self, indent: &str) -> Vec<(&'static str, String)> {
        let list = |items: &[String]| {
            let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
            if self.is_tall && !items.is_empty() {
                format!("[\n{indent}  {}\n{indent}]", items.join(&format!(",\n{indent}  ")))
            } else {
                format!("[{}]", items.join(", "))
            }
        };
        let Some(command) = &self.command else { return vec![("url", quoted("http://127.0.0.1:9/mcp"))] };
        let mut members = vec![("command", quoted(command))];
        members.extend(self.arguments.as_ref().map(|arguments| ("args", list(arguments))));
        if self.is_turned {
            members.reverse();
        }
        members
    }

    /// The entry as it stands in a file.
    fn written(&self, style: Style) -> String {
        let mut written = String::new();
        let comment = |mark: &str| if self.has_comments { format!(" {mark} a \"comment\": [") } else { String::new() };
        match style {
            Style::Json => {
                writeln!(written, "    {}: {{{}", quoted(&self.name), comment("//")).unwrap();
                for (name, value) in self.members("      ") {
                    writeln!(written, "      \"{name}\": {value},{}", comment("//")).unwrap();
                }
                let pairs: Vec<_> = self
                    .environment
                    .iter()
                    .map(|(name, value)| format!("{}: {}", quoted(name), quoted(value)))
                    .collect();
                let comma = if self.has_comments { "," } else { "" };
                writeln!(written, "      \"env\": {{{}}}{comma}", pairs.join(", ")).unwrap();
                write!(written, "    }}").unwrap();
            }
            Style::Toml => {
                writeln!(written, "[mcp_servers.{}]{}", quoted(&self.name), comment("#")).unwrap();
                for (name, value) in self.members("") {
                    writeln!(written, "{name} = {value}{}", comment("#")).unwrap();
                }
                writeln!(written, "[mcp_servers.{}.env]", quoted(&self.name)).unwrap();
                for (name, value) in &self.environment {
                    writeln!(written, "{name} = {}", quoted(value)).unwrap();
                }
            }
            Style::Yaml => {
                writeln!(written, "  - name: {}{}", quoted(&self.name), comment("#")).unwrap();
                for (name, value) in self.members("    ") {
                    if self.is_tall && name == "args" && value.contains('\n') {
                        writeln!(written, "    args:").unwrap();
                        for item in self.arguments.iter().flatten() {
                            writeln!(written, "      - {}{}", quoted(item), comment("#")).unwrap();
                        }
                    } else {
                        writeln!(written, "    {name}: {value}{}", comment("#")).unwrap();
                    }
                }
                for (number, (name, value)) in self.environment.iter().enumerate() {
                    let head = if number == 0 { "    env:\n" } else { "" };
                    writeln!(written, "{head}      {name}: {}", quoted(value)).unwrap();
                }
            }
        }
        written
    }

    /// Command and arguments once it is attached.
    fn attached(&self, mcplog: &str) -> (String, Vec<String>) {
        let name = if self.name.starts_with('-') {
            vec![format!("--name={}", self.name)]
        } else {
            vec!["--name".to_owned(), self.name.clone()]
        };
        let command = self.command.clone().unwrap();
        let words = [vec!["wrap".to_owned()], name, vec!["--".to_owned(), command]];
        (mcplog.to_owned(), [words.concat(), self.arguments.clone().unwrap_or_default()].concat())
    }
}

fn file(style: Style, servers: &[Server], has_tail: bool) -> String {
    let written: Vec<_> = servers.iter().map(|server| server.written(style)).collect();
    let tail = if has_tail { "\n" } else { "" };
    match style {
        Style::Json => {
            format!("{{\n  // mine\n  \"inputs\": [],\n  \"servers\": {{\n{}\n  }}\n}}{tail}", written.join(",\n"))
        }
        Style::Toml => format!("# mine\nmodel = \"x\"\n\n{}{tail}", written.join("\n")),
        Style::Yaml => format!("name: mine # yes\nmcpServers:\n{}context: []\n{tail}", written.concat()),
    }
}

/// What a reader of such files finds in an entry. YAML's reader is mcplog's own, so that `attached` answers for it.
fn entry(style: Style, text: &str, name: &str) -> Value {
    match style {
        Style::Json => {
            // Without what only VS Code's reader knows: the comments, and the commas before an end.
            let plain: String = text.lines().map(without_comment).collect::<Vec<_>>().join("\n");
            let plain = plain.replace(",\n    }", "\n    }");
            serde_json::from_str::<Value>(&plain).unwrap_or_else(|error| panic!("{error}: {plain}"))["servers"][name]
                .take()
        }
        Style::Toml => {
            let document: toml::Table = text.parse().unwrap();
            serde_json::to_value(&document["mcp_servers"][name]).unwrap()
        }
        Style::Yaml => Value::Null,
    }
}

/// A line without the comments that this test wrote.
fn without_comment(line: &str) -> String {
    line.strip_suffix(" // a \"comment\": [").unwrap_or(line).replace("  // mine", "")
}

fn check(style: Style, mut servers: Vec<Server>, has_tail: bool) {
    let mut names = BTreeSet::new();
    servers.retain(|server| !server.name.is_empty() && names.insert(server.name.clone()));
    let home = ClientHome::new();
    let (client, path, _) = client(style);
    let before = file(style, &servers, has_tail);
    home.write(path, &before);
    let meant: Vec<_> = servers.iter().filter(|server| server.is_meant && server.command.is_some()).collect();
    if meant.is_empty() {
        return;
    }
    let line = |command: &str| {
        let mut words = vec![command, client, "--"];
        words.extend(meant.iter().map(|server| server.name.as_str()));
        home.run_words(&words).ok();
    };
    line("attach");
    let after = home.read(path);
    let mcplog = home.path("bin/mcplog");
    for server in &servers {
        if meant.iter().any(|meant| meant.name == server.name) {
            let (command, arguments) = server.attached(mcplog.to_str().unwrap());
            if style != Style::Yaml {
                let entry = entry(style, &after, &server.name);
                assert_eq!((&entry["command"], &entry["args"]), (&json!(command), &json!(arguments)), "{after}");
                for (name, value) in &server.environment {
                    assert_eq!(entry["env"][name], json!(value), "{after}");
                }
            }
        } else {
            assert!(after.contains(&server.written(style)), "{}\nis not in\n{after}", server.written(style));
        }
    }
    let rows = home.run(&format!("attached {client} --json")).json();
    let attached: BTreeSet<_> = rows.iter().map(|row| row["server"].as_str().unwrap()).collect();
    assert_eq!(attached, meant.iter().map(|server| server.name.as_str()).collect());
    line("attach");
    assert_eq!(home.read(path), after, "twice is once");
    line("detach");
    assert_eq!(home.read(path), before, "attached it was\n{after}");
}

proptest! {
    // Each case starts the command four times.
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_comes_back(servers in prop::collection::vec(server(), 1..5), has_tail: bool) {
        check(Style::Json, servers, has_tail);
    }

    #[test]
    fn toml_comes_back(servers in prop::collection::vec(server(), 1..5), has_tail: bool) {
        check(Style::Toml, servers, has_tail);
    }

    #[test]
    fn yaml_comes_back(servers in prop::collection::vec(server(), 1..5), has_tail: bool) {
        check(Style::Yaml, servers, has_tail);
    }
}
