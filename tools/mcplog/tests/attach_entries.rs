//! Entries of all kinds under `mcplog attach` and `detach`: what is attached and how, what is not and why, and what was
//! changed by others meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod client_home;
mod common;

use client_home::ClientHome;
use serde_json::{Value, json};
use std::fs;

const CURSOR: &str = ".cursor/mcp.json";

/// A home in which Cursor has these servers.
fn with_servers(servers: &Value) -> (ClientHome, String) {
    let home = ClientHome::new();
    let text = serde_json::to_string_pretty(&json!({ "mcpServers": servers })).unwrap();
    home.write(CURSOR, &text);
    (home, text)
}

fn server(home: &ClientHome, name: &str) -> Value {
    serde_json::from_str::<Value>(&home.read(CURSOR)).unwrap()["mcpServers"][name].take()
}

/// What one command says of a server, in JSON.
fn told(home: &ClientHome, line: &str, name: &str) -> Value {
    let run = home.run(&format!("{line} --json"));
    let rows: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows.into_iter().find(|row| row["server"] == name).unwrap_or_else(|| panic!("{name} in {}", run.stdout))
}

#[test]
fn the_command_is_wrapped_by_this_mcplog_and_all_else_of_the_entry_stays() {
    let entry = json!({
        "command": "${BIN:-npx}", "args": ["-y", "", "--", "$(x) 'y'", "ünï"], "env": { "A": "b" }, "cwd": "~/x", "other": [1],
    });
    let (home, _) = with_servers(&json!({ "my server": entry }));
    home.run("attach cursor").ok();
    let mut expected = entry.clone();
    expected["command"] = home.path("bin/mcplog").to_str().unwrap().into();
    expected["args"] = json!(["wrap", "--name", "my server", "--", "${BIN:-npx}", "-y", "", "--", "$(x) 'y'", "ünï"]);
    assert_eq!(server(&home, "my server"), expected);
}

#[test]
fn a_store_that_the_servers_process_would_not_find_is_passed_on_by_its_absolute_path() {
    type Variables = &'static [(&'static str, &'static str)];
    let cases: [(&str, Variables, Option<&str>); 5] = [
        ("attach cursor", &[], None),
        ("attach cursor --dir stores/mine", &[], Some("work/project/stores/mine")),
        ("attach cursor", &[("MCPLOG_DIR", "elsewhere")], Some("work/project/elsewhere")),
        ("attach cursor", &[("XDG_DATA_HOME", "/share")], Some("/share/mcplog")),
        ("attach cursor --dir /flag", &[("MCPLOG_DIR", "/variable")], Some("/flag")),
    ];
    for (line, variables, dir) in cases {
        let (home, text) = with_servers(&json!({ "s": { "command": "c" } }));
        common::Run::from(home.command(line).envs(variables.iter().copied()).output().unwrap()).ok();
        let dir = dir.map(|dir| home.path(dir).to_str().unwrap().to_owned());
        let expected = match &dir {
            Some(dir) => json!(["wrap", "--dir", dir, "--name", "s", "--", "c"]),
            None => json!(["wrap", "--name", "s", "--", "c"]),
        };
        assert_eq!(server(&home, "s")["args"], expected, "{line} {variables:?}");
        home.run("detach cursor").ok();
        assert_eq!(home.read(CURSOR), text);
    }
}

#[test]
fn names_of_all_kinds_are_passed_on_as_they_are() {
    for name in ["-n", "--", "a b", "ä/ö", "--dir", "\"quoted\"", "a.b", "~", ""] {
        let (home, text) = with_servers(&json!({ name: { "command": "c", "args": ["x"] } }));
        home.run("attach cursor").ok();
        let args = server(&home, name)["args"].clone();
        let expected = if name.starts_with('-') {
            json!(["wrap", format!("--name={name}"), "--", "c", "x"])
        } else {
            json!(["wrap", "--name", name, "--", "c", "x"])
        };
        assert_eq!(args, expected);
        let attached = home.run("attached --json").json();
        assert_eq!((&attached[0]["server"], &attached[0]["name"]), (&json!(name), &json!(name)));
        home.run("detach cursor").ok();
        assert_eq!(home.read(CURSOR), text, "{name:?}");
    }
}

#[test]
fn what_can_not_be_attached_is_told_why_and_stays() {
    let servers = json!({
        "http": { "url": "http://127.0.0.1:9/mcp" },
        "line": { "command": "npx -y some-server" },
        "nothing": { "disabled": true },
        "empty": { "command": " " },
        "odd": { "command": "c", "args": "-y" },
        "number": { "command": "c", "args": ["-p", 8080] },
        "bare wrap": { "command": "/usr/bin/mcplog", "args": ["wrap", "--"] },
    });
    let (home, text) = with_servers(&servers);
    let expected = [
        ("http", "needs_via", "--via"),
        ("line", "shell_line", "as arguments"),
        ("nothing", "unknown", "neither a command nor an address"),
        ("empty", "unknown", "command is empty"),
        ("odd", "unknown", "no list of texts"),
        ("number", "unknown", "no list of texts"),
        ("bare wrap", "wraps_nothing", "behind its --"),
    ];
    for (name, reason, words) in expected {
        let mut command = home.command("attach cursor --json");
        let run: common::Run = command.arg(name).output().unwrap().into();
        assert_eq!(run.code, 1, "{name}: {}", run.stdout);
        let row: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((&row["outcome"], &row["reason"]), (&json!("not_attached"), &json!(reason)), "{name}");
        let shown = home.run_words(&["attach", "cursor", name]).stdout;
        assert!(shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "{name}: {shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }
    assert_eq!(home.run("attach cursor").code, 1);
    assert_eq!(home.read(CURSOR), text);
}

#[test]
fn a_program_whose_name_has_spaces_is_no_line_for_a_shell() {
    let home = ClientHome::new();
    let program = home.write("My Servers/run it", "#!/bin/sh\n");
    let text = json!({ "mcpServers": { "s": { "command": program.to_str().unwrap() } } }).to_string();
    home.write(CURSOR, &text);
    home.run("attach cursor").ok();
    assert_eq!(server(&home, "s")["args"][4], program.to_str().unwrap());
}

#[test]
fn what_is_done_in_part_has_a_code_of_its_own() {
    let (home, _) = with_servers(&json!({ "a": { "command": "c" }, "b": { "url": "http://127.0.0.1:9/" } }));
    assert_eq!(home.run("attach cursor a b").code, 2);
    assert_eq!(home.run("attach cursor").code, 0, "who names none wants those that can be attached");
    assert_eq!(home.run("attach cursor b").code, 1);
}

#[test]
fn a_disabled_server_is_attached_and_said_to_be_disabled() {
    let (home, _) = with_servers(&json!({ "a": { "command": "c", "disabled": true }, "b": { "command": "c" } }));
    assert_eq!(told(&home, "attach cursor", "a")["disabled"], true);
    assert_eq!(told(&home, "attach cursor", "b")["disabled"], false);
    assert!(home.run("attach cursor").ok().contains("(disabled in the client)"));
}

#[test]
fn a_proxys_address_takes_the_place_of_the_servers_own_and_goes_again() {
    for (client, fixture, path, name, own) in [
        (
            "claude-code",
            "claude-code/project.mcp.json",
            "work/project/.mcp.json",
            "api",
            "https://api.example.com}/mcp",
        ),
        ("vscode", "vscode/mcp.json", ".config/Code/User/mcp.json", "github", "https://api.githubcopilot.com/mcp/"),
        ("windsurf", "windsurf/mcp_config.json", ".codeium/windsurf/mcp_config.json", "figma", "mcp.figma.example"),
        ("codex", "codex/config.toml", ".codex/config.toml", "figma", "https://mcp.figma.example/mcp"),
        ("gemini", "gemini/settings.json", ".gemini/settings.json", "docs", "http://localhost:3000/mcp"),
        ("gemini", "gemini/settings.json", ".gemini/settings.json", "old", "http://localhost:8080/sse"),
        ("zed", "zed/settings.json", ".config/zed/settings.json", "remote", "https://mcp.example.com/mcp"),
        ("continue", "continue/config.yaml", ".continue/config.yaml", "remote", "https://mcp.example.com/mcp"),
    ] {
        let home = ClientHome::new();
        let text = home.fixture(fixture);
        home.write(path, &text);
        let via = "http://127.0.0.1:4321/mcp";
        home.run(&format!("attach {client} {name} --via {via}")).ok();
        let after = home.read(path);
        assert!(after.contains(via) && !after.contains(own), "{client}: {after}");
        assert_eq!(after.lines().count(), text.lines().count());
        let changed = text.lines().zip(after.lines()).filter(|(before, after)| before != after).count();
        assert_eq!(changed, 1, "{client} {name}: {after}");
        let row = told(&home, &format!("attach {client} {name} --via {via}"), name);
        assert_eq!((&row["outcome"], &row["how"]), (&json!("already_attached"), &json!("via")), "{client}");
        // Another address: the server's own stays remembered.
        home.run(&format!("attach {client} {name} --via http://127.0.0.1:5/mcp")).ok();
        assert!(home.read(path).contains("127.0.0.1:5") && !home.read(path).contains(via));
        home.run(&format!("detach {client} {name}")).ok();
        assert_eq!(home.read(path), text, "{client} {name}");
    }
}

#[test]
fn an_address_is_for_one_server_that_has_one() {
    let servers = json!({ "a": { "url": "http://127.0.0.1:1/" }, "b": { "url": "http://127.0.0.1:2/" }, "c": { "command": "c" } });
    let (home, text) = with_servers(&servers);
    let cases = [
        ("attach cursor --via http://127.0.0.1:3/", "a, b"),
        ("attach cursor a b --via http://127.0.0.1:3/", "a, b"),
        ("attach cursor a --via 127.0.0.1:3", "whole URL"),
        ("attach cursor a --via ftp://127.0.0.1:3/", "http or https"),
        ("attach claude-desktop --via http://127.0.0.1:3/", "--via is of no use"),
    ];
    home.write(".config/Claude/claude_desktop_config.json", "{\"mcpServers\": {\"a\": {\"url\": \"http://x/\"}}}");
    for (line, expected) in cases {
        let run = home.run(line);
        assert_eq!(run.code, 1, "{line}");
        assert!(run.stderr.contains(expected), "{line}: {}", run.stderr);
    }
    let row = told(&home, "attach cursor c --via http://127.0.0.1:3/", "c");
    assert_eq!(row["reason"], "is_started");
    let shown = home.run("attach claude-desktop").stdout;
    assert!(shown.contains("vendor's cloud"), "{shown}");
    assert_eq!(home.read(CURSOR), text);
    // One that is the only one need not be named.
    let (home, _) = with_servers(&json!({ "a": { "url": "http://127.0.0.1:1/" }, "c": { "command": "c" } }));
    home.run("attach cursor --via http://127.0.0.1:3/").ok();
    assert_eq!(
        (&server(&home, "a")["url"], &server(&home, "c")["command"]),
        (&json!("http://127.0.0.1:3/"), &json!("c"))
    );
}

#[test]
fn what_the_user_changed_elsewhere_in_the_file_stays() {
    let (home, text) = with_servers(&json!({ "a": { "command": "c", "args": ["x"] }, "b": { "command": "d" } }));
    home.run("attach cursor a").ok();
    let edit = |text: &str| text.replace("\"d\"", "\"another\"").replacen('{', "{\n  \"new\": true,", 1);
    home.write(CURSOR, edit(&home.read(CURSOR)));
    home.run("detach cursor").ok();
    assert_eq!(home.read(CURSOR), edit(&text));
}

#[test]
fn what_the_user_changed_in_the_entry_stays_and_what_is_ours_goes() {
    let (home, _) = with_servers(&json!({ "a": { "command": "c", "args": ["x"], "env": { "A": "b" } } }));
    let edits: [(&str, &str, Value); 4] = [
        // The server's own arguments.
        ("\"x\"", "\"x\", \"--new\"", json!({ "command": "c", "args": ["x", "--new"], "env": { "A": "b" } })),
        // Its own command.
        ("\"c\"", "\"bunx\"", json!({ "command": "bunx", "args": ["x"], "env": { "A": "b" } })),
        // Where mcplog lies.
        ("/bin/mcplog", "/other/mcplog", json!({ "command": "c", "args": ["x"], "env": { "A": "b" } })),
        // What mcplog is told.
        ("\"--name\"", "\"--quiet\", \"--name\"", json!({ "command": "c", "args": ["x"], "env": { "A": "b" } })),
    ];
    let text = home.read(CURSOR);
    for (from, to, expected) in edits {
        home.run("attach cursor").ok();
        let edited = home.read(CURSOR).replacen(from, to, 1);
        assert_ne!(edited, home.read(CURSOR), "{from}");
        home.write(CURSOR, edited);
        let shown = home.run("detach cursor").ok();
        assert!(shown.contains("changed by hand"), "{from}: {shown}");
        assert_eq!(server(&home, "a"), expected, "{from}");
        home.write(CURSOR, &text);
    }
}

#[test]
fn a_file_that_its_client_wrote_anew_is_detached_by_what_it_says() {
    let home = ClientHome::with_all_clients();
    let before: Value = serde_json::from_str(&home.read(".claude.json")).unwrap();
    home.run("attach claude-code --scope user").ok();
    let attached: Value = serde_json::from_str(&home.read(".claude.json")).unwrap();
    home.write(".claude.json", attached.to_string());
    let shown = home.run("detach claude-code").ok();
    assert!(!shown.contains("by hand"), "{shown}");
    assert_eq!(serde_json::from_str::<Value>(&home.read(".claude.json")).unwrap(), before);
}

#[test]
fn a_server_that_went_away_or_was_taken_back_by_hand_is_forgotten() {
    let (home, text) = with_servers(&json!({ "a": { "command": "c" }, "b": { "command": "d" } }));
    home.run("attach cursor").ok();
    let without: String = json!({ "mcpServers": { "b": { "command": "d" } } }).to_string();
    home.write(CURSOR, &without);
    assert!(home.run("attached --json").json().is_empty());
    let shown = home.run("detach cursor").ok();
    assert!(shown.contains("forgotten") && shown.contains("not in the file any more"), "{shown}");
    assert_eq!(home.read(CURSOR), without);
    assert!(home.read(".local/state/mcplog/attached.json").contains("\"attached\": []"));
    // Taken back, and attached once more.
    home.write(CURSOR, &text);
    home.run("attach cursor").ok();
    home.write(CURSOR, &without);
    home.run("attach cursor").ok();
    home.run("detach cursor").ok();
    assert_eq!(home.read(CURSOR), without);
}

#[test]
fn an_address_that_somebody_put_there_since_stays() {
    let (home, _) = with_servers(&json!({ "a": { "url": "http://127.0.0.1:1/" } }));
    home.run("attach cursor a --via http://127.0.0.1:2/").ok();
    let edited = home.read(CURSOR).replace("127.0.0.1:2", "127.0.0.1:3");
    home.write(CURSOR, &edited);
    assert!(home.run("attached --json").json().is_empty());
    let shown = home.run("detach cursor").ok();
    assert!(shown.contains("another address"), "{shown}");
    assert_eq!(home.read(CURSOR), edited);
    assert!(home.run("detach cursor").ok().contains("nothing"));
}

#[test]
fn an_entry_is_detached_without_what_was_remembered_and_whichever_mcplog_wrapped_it() {
    let (home, text) = with_servers(&json!({ "a": { "command": "c", "args": ["x", "--"] } }));
    home.run("attach cursor").ok();
    fs::remove_dir_all(home.path(".local")).unwrap();
    assert_eq!(home.run("attached --json").json().len(), 1);
    home.run("detach cursor").ok();
    assert_eq!(home.read(CURSOR), text);

    let by_others = json!({
        "unix": { "command": "/opt/mcplog-0.0.9/bin/mcplog", "args": ["wrap", "--some-option", "--", "c", "x"] },
        "windows": { "command": "C:\\Tools\\mcplog.exe", "args": ["wrap", "--name", "w", "--", "c", "x"] },
        "plain": { "command": "mcplog", "args": ["wrap", "--", "c", "x"] },
    });
    let (home, _) = with_servers(&by_others);
    home.run("detach cursor").ok();
    for name in ["unix", "windows", "plain"] {
        assert_eq!(server(&home, name), json!({ "command": "c", "args": ["x"] }), "{name}");
    }
}

#[test]
fn an_entry_whose_mcplog_is_gone_gets_this_one_and_is_detached_as_it_was() {
    let (home, text) = with_servers(&json!({ "a": { "command": "c", "args": ["x"] } }));
    home.run("attach cursor").ok();
    fs::create_dir(home.path("new")).unwrap();
    fs::rename(home.path("bin/mcplog"), home.path("new/mcplog")).unwrap();
    let row = home.command("attached --json").get_program().to_owned();
    assert!(!std::path::Path::new(&row).exists());
    let run = |line: &str| {
        let old = home.command(line);
        let mut command = std::process::Command::new(home.path("new/mcplog"));
        command.args(old.get_args()).current_dir(home.path("work/project")).env_clear().env("HOME", home.path(""));
        common::Run::from(command.output().unwrap()).ok()
    };
    assert!(run("attached --json").contains("\"is_missing\":true"));
    assert!(run("attached").contains("attach it again"));
    assert!(run("attach cursor").contains("renewed"));
    assert_eq!(server(&home, "a")["command"], home.path("new/mcplog").to_str().unwrap());
    assert!(run("attached --json").contains("\"is_missing\":false"));
    assert!(run("attach cursor").contains("already"));
    run("detach cursor");
    assert_eq!(home.read(CURSOR), text);
}

#[test]
fn a_path_that_does_not_last_and_a_file_that_others_share_are_warned_of() {
    let home = ClientHome::with_all_clients();
    fs::create_dir(home.path("work/project/.git")).unwrap();
    let mut command = home.command("attach cursor");
    command.env("TMPDIR", home.path(""));
    let run: common::Run = command.output().unwrap().into();
    assert!(run.stderr.contains("warning:") && run.stderr.contains("temporary directory"), "{}", run.stderr);
    let shown = run.ok();
    assert_eq!(shown.matches("don't commit").count(), 1, "{shown}");
}
