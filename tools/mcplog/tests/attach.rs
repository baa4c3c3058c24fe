//! `mcplog attach` and `detach` with realistic files of all nine clients: exactly what is to change does, and it is undone
//! byte for byte.

mod client_home;
mod common;

use client_home::{CLIENTS, ClientHome, FILES, SECRET};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files of one client, with what is in them.
fn files_of(home: &ClientHome, client: &str) -> BTreeMap<&'static str, String> {
    let of_client = FILES.iter().filter(|(of, ..)| *of == client);
    of_client.map(|(_, _, path)| (*path, home.read(path))).collect()
}

#[test]
fn attach_changes_exactly_what_it_has_to_in_the_files_of_each_client() {
    for client in CLIENTS {
        let home = ClientHome::with_all_clients();
        let before = home.all_files();
        home.run(&format!("attach {client}")).ok();
        for (_, fixture, path) in FILES.iter().filter(|(of, ..)| *of == client) {
            let expected = home.fixture(&format!("{fixture}.attached"));
            assert_eq!(home.read(path), expected, "{client}: {path}");
        }
        let own: Vec<_> = FILES.iter().filter(|(of, ..)| *of == client).map(|(_, _, path)| home.path(path)).collect();
        let others = |mut files: Vec<(PathBuf, Vec<u8>)>| {
            files.retain(|(path, _)| !own.contains(path));
            files
        };
        assert_eq!(others(home.all_files()), others(before), "{client}: no other file changes, and none is new");
    }
}

#[test]
fn detach_restores_the_files_of_each_client_byte_for_byte() {
    for client in CLIENTS {
        let home = ClientHome::with_all_clients();
        let before = home.all_files();
        home.run(&format!("attach {client}")).ok();
        assert_ne!(home.all_files(), before, "{client}");
        home.run(&format!("detach {client}")).ok();
        assert_eq!(home.all_files(), before, "{client}");
        let state = home.read(".local/state/mcplog/attached.json");
        assert!(state.contains("\"attached\": []"), "{client}: {state}");
    }
}

#[test]
fn files_of_every_manner_of_writing_come_back() {
    // tests/fixtures/attach/README.md says what is unusual in each.
    let files = [
        ("claude-desktop", "claude_desktop_config.json", ".config/Claude/claude_desktop_config.json"),
        ("claude-code", "claude.json", ".claude.json"),
        ("claude-code", "claude-code.mcp.json", "work/project/.mcp.json"),
        ("cursor", "cursor.mcp.json", ".cursor/mcp.json"),
        ("vscode", "vscode.mcp.json", "work/project/.vscode/mcp.json"),
        ("windsurf", "windsurf.mcp_config.json", ".codeium/windsurf/mcp_config.json"),
        ("codex", "codex.config.toml", "work/project/.codex/config.toml"),
        ("gemini", "gemini.settings.json", "work/project/.gemini/settings.json"),
        ("zed", "zed.settings.json", "work/project/.zed/settings.json"),
        ("continue", "continue.config.yaml", ".continue/config.yaml"),
        ("continue", "continue.server.yaml", ".continue/mcpServers/server.yml"),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/attach");
    let count = std::fs::read_dir(&folder).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name != "README.md" && name != ".gitattributes"
    });
    assert_eq!(count.count(), files.len(), "a fixture is not tried");
    for (client, fixture, path) in files {
        let home = ClientHome::new();
        let text = std::fs::read(folder.join(fixture)).unwrap();
        home.write(path, &text);
        let run = home.run(&format!("attach {client} --json"));
        assert!(run.stdout.contains("\"outcome\":\"attached\""), "{fixture}: {} {}", run.stdout, run.stderr);
        assert_ne!(std::fs::read(home.path(path)).unwrap(), text, "{fixture}");
        home.run(&format!("detach {client}")).ok();
        assert!(std::fs::read(home.path(path)).unwrap() == text, "{fixture}");
    }
}

#[test]
fn twice_is_once_for_both() {
    for client in CLIENTS {
        let home = ClientHome::with_all_clients();
        home.run(&format!("attach {client}")).ok();
        let attached = files_of(&home, client);
        let again = home.run(&format!("attach {client}")).ok();
        assert!(again.contains("already attached") && !again.contains("To have it so"), "{client}: {again}");
        assert_eq!(files_of(&home, client), attached, "{client}");
        home.run(&format!("detach {client}")).ok();
        let detached = files_of(&home, client);
        let again = home.run(&format!("detach {client}")).ok();
        assert!(again.contains("is attached") && again.starts_with("nothing"), "{client}: {again}");
        assert_eq!(files_of(&home, client), detached, "{client}");
    }
}

#[test]
fn a_dry_run_shows_a_diff_changes_nothing_and_tells_no_secret() {
    for client in CLIENTS {
        let home = ClientHome::with_all_clients();
        let before = home.all_files();
        let diff = home.run(&format!("attach {client} --dry-run")).ok();
        assert_eq!(home.all_files(), before, "{client}");
        assert!(!home.path(".local").exists(), "{client}: nothing is remembered");
        let added = diff.lines().filter(|line| line.starts_with('+') && line.contains("wrap")).count();
        assert!(added > 0 && diff.contains("--- ~/") && diff.contains("@@ "), "{client}: {diff}");
        assert!(diff.contains("  would be attached  ") && !diff.contains("  attached"), "{client}: {diff}");
        assert!(!diff.contains(SECRET), "{client}: {diff}");

        home.run(&format!("attach {client}")).ok();
        let attached = home.all_files();
        let diff = home.run(&format!("detach {client} --dry-run")).ok();
        assert_eq!(home.all_files(), attached, "{client}");
        let removed = diff.lines().filter(|line| line.starts_with('-') && line.contains("wrap")).count();
        assert!(removed > 0 && !diff.contains(SECRET), "{client}: {diff}");
    }
}

#[test]
fn no_output_and_no_error_tells_a_secret() {
    for client in CLIENTS {
        let home = ClientHome::with_all_clients();
        let lines =
            ["attach C", "attach C --json", "attached", "attached --json", "attached --wide", "detach C --json"];
        let named = ["attach C remote", "attach C nobody", "attach C --via http://127.0.0.1:1/mcp", "detach C"];
        for line in lines.iter().chain(&named) {
            let run = home.run(&line.replace('C', client));
            assert!(
                !run.stdout.contains(SECRET) && !run.stderr.contains(SECRET),
                "{line}: {} {}",
                run.stdout,
                run.stderr
            );
        }
        // A file that can't be read is told of by its place, not by its text.
        for (_, _, path) in FILES.iter().filter(|(of, ..)| *of == client) {
            let broken = home.read(path) + "\n]]] \"s3cr3t\" ]";
            home.write(path, broken);
        }
        let run = home.run(&format!("attach {client}"));
        assert_eq!(run.code, 1, "{client}: {}", run.stderr);
        assert!(!run.stderr.contains(SECRET) && run.stderr.contains("error:"), "{}", run.stderr);
    }
}

#[test]
fn of_a_file_with_several_projects_only_this_ones_servers_are_attached() {
    let home = ClientHome::new();
    let entry = |path: &Path| format!("{path:?}: {{\"mcpServers\": {{\"s\": {{\"command\": \"c\"}}}}}}");
    let paths = ["", "work", "work/project", "work/project/src", "work/project/src/deep", "work/other"];
    let entries: Vec<_> = paths.map(|path| entry(&home.path(path))).to_vec();
    let text = format!("{{\"projects\": {{\"\": {{}}, {}}}}}", entries.join(", "));
    home.write(".claude.json", &text);
    let attached_from = |within: &str| {
        let mut command = home.command("attach claude-code");
        command.current_dir(home.path(within));
        common::Run::from(command.output().unwrap()).ok();
        let after = home.read(".claude.json");
        let document: serde_json::Value = serde_json::from_str(&after).unwrap();
        let is_attached = |path: &&str| {
            let key = home.path(path);
            document["projects"][key.to_str().unwrap()]["mcpServers"]["s"].get("args").is_some()
        };
        let attached: Vec<_> = paths.into_iter().filter(is_attached).collect();
        home.run("detach claude-code").ok();
        assert_eq!(home.read(".claude.json"), text, "undone from elsewhere");
        attached
    };
    assert_eq!(attached_from("work/project/src"), ["work/project/src"]);
    std::fs::create_dir(home.path("work/project/.git")).unwrap();
    assert_eq!(attached_from("work/project/src"), ["work/project", "work/project/src"]);
    assert_eq!(attached_from("work/project"), ["work/project"]);
}

#[test]
fn the_page_has_every_client() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/attach.md")).unwrap();
    for client in CLIENTS {
        assert!(page.contains(&format!("| `{client}` | ")), "{client}");
    }
    for (_, _, path) in FILES {
        let name = path.rsplit('/').next().unwrap().replace("playwright.yaml", "*.yaml");
        assert!(page.contains(&name), "{name}");
    }
}

#[test]
fn only_the_named_servers_are_attached_and_detached() {
    let home = ClientHome::with_all_clients();
    let before = home.read(".codex/config.toml");
    home.run("attach codex dotted.name").ok();
    let after = home.read(".codex/config.toml");
    assert_eq!(after.matches("wrap").count(), 1, "{after}");
    home.run("attach codex context7 bare").ok();
    assert_eq!(home.read(".codex/config.toml").matches("wrap").count(), 3);
    home.run("detach codex context7 bare").ok();
    assert_eq!(home.read(".codex/config.toml"), after);
    home.run("detach codex").ok();
    assert_eq!(home.read(".codex/config.toml"), before);
}

#[test]
fn a_server_of_the_project_and_of_the_user_is_attached_in_both_and_named_in_both() {
    let home = ClientHome::with_all_clients();
    let shown = home.run("attach claude-code shared-files").ok();
    assert_eq!(shown.matches("shared-files").count(), 2, "{shown}");
    for path in ["work/project/.mcp.json", ".claude.json"] {
        assert!(shown.contains(&format!("~/{path}")), "{shown}");
        assert_eq!(home.read(path).matches("\"wrap\"").count(), 1);
    }
    let before = home.read(".claude.json");
    home.run("detach claude-code --scope project").ok();
    assert_eq!(home.read("work/project/.mcp.json"), home.fixture("claude-code/project.mcp.json"));
    assert_eq!(home.read(".claude.json"), before);
}

#[test]
fn a_projects_file_is_found_from_below_and_by_its_name() {
    let home = ClientHome::with_all_clients();
    let mut below = home.command("attach cursor --scope project");
    below.current_dir(home.path("work/project/src/deep"));
    common::Run::from(below.output().unwrap()).ok();
    let attached = home.read("work/project/.cursor/mcp.json");
    assert!(attached.contains("wrap"), "{attached}");
    assert_eq!(home.read(".cursor/mcp.json"), home.fixture("cursor/mcp.json"));
    home.run("detach cursor").ok();
    let project = home.path("work/project");
    let mut elsewhere = home.command("attach cursor --scope project --project");
    elsewhere.arg(&project).current_dir("/");
    common::Run::from(elsewhere.output().unwrap()).ok();
    assert_eq!(home.read("work/project/.cursor/mcp.json"), attached);
    // It is undone from anywhere: where it was done is remembered.
    let mut elsewhere = home.command("detach cursor");
    elsewhere.current_dir("/");
    common::Run::from(elsewhere.output().unwrap()).ok();
    assert_eq!(home.read("work/project/.cursor/mcp.json"), home.fixture("cursor/project.json"));
}

#[test]
fn an_unknown_server_is_told_which_there_are_and_nothing_changes() {
    let home = ClientHome::with_all_clients();
    let before = home.all_files();
    for command in ["attach", "detach"] {
        let run = home.run(&format!("{command} gemini docs nobody"));
        assert_eq!((run.code, run.stdout.as_str()), (1, ""));
        for part in ["Gemini CLI", "nobody", "docs, old, python-tools", "nothing was changed"] {
            assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
        }
    }
    assert_eq!(home.all_files(), before);
}

#[test]
fn a_client_without_files_is_told_where_they_were_looked_for() {
    let home = ClientHome::new();
    let expected = [
        ("claude-desktop", "~/.config/Claude/claude_desktop_config.json"),
        ("claude-code", "~/work/project/.mcp.json, ~/.claude.json"),
        ("cursor", "~/work/project/.cursor/mcp.json, ~/.cursor/mcp.json"),
        ("vscode", "~/.config/Code/User/mcp.json"),
        ("windsurf", "~/.codeium/windsurf/mcp_config.json"),
        ("codex", "~/work/project/.codex/config.toml, ~/.codex/config.toml"),
        ("gemini", "~/work/project/.gemini/settings.json, ~/.gemini/settings.json"),
        ("zed", "~/work/project/.zed/settings.json, ~/.config/zed/settings.json"),
        ("continue", "~/.continue/config.yaml"),
    ];
    assert_eq!(expected.map(|(client, _)| client), CLIENTS);
    for (client, place) in expected {
        let run = home.run(&format!("attach {client}"));
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{client}");
        assert!(run.stderr.contains(place), "{client}: {}", run.stderr);
        assert!(home.run(&format!("detach {client}")).ok().contains("nothing"), "{client}");
    }
    assert_eq!(
        home.run("attached").ok(),
        "nothing is attached; `mcplog attach CLIENT` attaches the servers of a client\n"
    );
}

#[test]
fn the_clients_own_variables_say_where_their_files_are() {
    let home = ClientHome::new();
    for (client, variable, path, fixture) in [
        ("codex", "CODEX_HOME", "moved/config.toml", "codex/config.toml"),
        ("claude-code", "CLAUDE_CONFIG_DIR", "moved/.claude.json", "claude-code/user.claude.json"),
        ("gemini", "GEMINI_CLI_HOME", "moved/.gemini/settings.json", "gemini/settings.json"),
        ("continue", "CONTINUE_GLOBAL_DIR", "moved/config.yaml", "continue/config.yaml"),
        ("zed", "XDG_CONFIG_HOME", "moved/zed/settings.json", "zed/settings.json"),
    ] {
        home.write(path, home.fixture(fixture));
        let mut command = home.command(&format!("attach {client}"));
        command.env(variable, home.path("moved"));
        common::Run::from(command.output().unwrap()).ok();
        assert_eq!(home.read(path), home.fixture(&format!("{fixture}.attached")), "{client}");
        // Without the variable too: the file is remembered.
        home.run(&format!("detach {client}")).ok();
        assert_eq!(home.read(path), home.fixture(fixture), "{client}");
    }
}

#[test]
fn every_client_of_the_fixtures_has_a_secret_to_tell() {
    let home = ClientHome::new();
    for client in CLIENTS {
        let files = FILES.iter().filter(|(of, ..)| *of == client);
        assert!(files.map(|(_, fixture, _)| home.fixture(fixture)).any(|text| text.contains(SECRET)), "{client}");
    }
}
