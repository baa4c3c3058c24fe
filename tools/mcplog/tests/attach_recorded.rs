//! From `mcplog attach` to what is on record: the client starts what stands in its file, and nothing is different for it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod client_home;
mod common;

use client_home::ClientHome;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Answers each request with what its environment says.
const SERVER: &str = r#"while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[],"greeting":"%s"}}\n' "$id" "$GREETING"
done; exit 7"#;

/// Starts a server as its entry says, as clients do: with hardly any environment. Returns its answers and its exit code.
fn talk(home: &ClientHome, entry: &Value, client_name: &str) -> (Vec<String>, Option<i32>) {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut command = Command::new(entry["command"].as_str().unwrap());
    command.args(texts(&entry["args"])).env_clear().env("HOME", home.path("")).env("PATH", "/usr/bin:/bin");
    for (name, value) in entry["env"].as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut to_server, mut answers) =
        (server.stdin.take().unwrap(), BufReader::new(server.stdout.take().unwrap()).lines());
    let mut seen = Vec::new();
    let initialize = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": client_name, "version": "1" },
    });
    let mut messages = vec![json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize })];
    messages.push(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    messages.extend((1..6).map(|id| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "greet", "arguments": {} } })
    }));
    for message in messages {
        writeln!(to_server, "{message}").unwrap();
        if message.get("id").is_some() {
            seen.push(answers.next().unwrap().unwrap());
        }
    }
    drop(to_server);
    seen.extend(answers.map(Result::unwrap));
    (seen, server.wait().unwrap().code())
}

#[test]
fn what_a_client_starts_once_it_is_attached_is_recorded_under_the_servers_name() {
    let files = [
        ("claude-desktop", ".config/Claude/claude_desktop_config.json", "mcpServers", "claude-ai"),
        ("claude-code", ".claude.json", "mcpServers", "claude-code"),
        ("cursor", ".cursor/mcp.json", "mcpServers", "cursor-vscode"),
        ("vscode", ".config/Code/User/mcp.json", "servers", "Visual Studio Code"),
        ("windsurf", ".codeium/windsurf/mcp_config.json", "mcpServers", "windsurf-client"),
        ("gemini", ".gemini/settings.json", "mcpServers", "gemini-cli-mcp-client"),
        ("zed", ".config/zed/settings.json", "context_servers", "Zed"),
    ];
    let home = ClientHome::new();
    for (client, path, key, client_name) in files {
        // Names of their own, so that one store has them all apart.
        let name = format!("greeter of {client}");
        let entry = json!({ "command": "sh", "args": ["-c", SERVER], "env": { "GREETING": "hello" } });
        let text = json!({ key: { name.as_str(): entry } }).to_string();
        home.write(path, &text);
        let alone = talk(&home, &entry, client_name);
        assert_eq!((alone.0.len(), alone.1), (6, Some(7)));
        assert!(home.run(&format!("attach {client}")).ok().contains("attached"));
        let row = |home: &ClientHome| home.run(&format!("attached {client} --json")).json().swap_remove(0);
        assert_eq!((&row(&home)["recorded_since"], &row(&home)["last_session"]), (&json!(false), &Value::Null));

        let mut file: Value = serde_json::from_str(&home.read(path)).unwrap();
        assert_eq!(talk(&home, &file[key][&name].take(), client_name), alone, "{client}");
        let row = row(&home);
        assert_eq!(row["recorded_since"], true, "{client}: {row}");
        assert_eq!(row["last_session"]["client_name"], client_name, "{client}");
        let logs = home.run_words(&["logs", "--proxy", &name, "--json"]).json();
        let calls = logs.iter().filter(|row| row["method"] == "tools/call" && row["transport"] == "stdio").count();
        assert_eq!(calls, 5, "{client}: {logs:?}");
        let table = home.run(&format!("attached {client} --wide")).ok();
        assert!(table.contains("just now, ") && !table.contains("restart"), "{table}");

        home.run(&format!("detach {client}")).ok();
        assert_eq!(home.read(path), text, "{client}");
    }
}
