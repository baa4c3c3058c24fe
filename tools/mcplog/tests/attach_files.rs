//! The files that `mcplog attach` and `detach` change, as files: links, modes, owners, copies, disks, and others who write.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod client_home;
mod common;

use client_home::ClientHome;
use common::Run;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Child;

const CURSOR: &str = ".cursor/mcp.json";

/// A home with one client, whose one server is started.
fn with_cursor() -> (ClientHome, String) {
    let home = ClientHome::new();
    let text = home.fixture("cursor/mcp.json");
    home.write(CURSOR, &text);
    (home, text)
}

fn set_mode(home: &ClientHome, within: &str, mode: u32) {
    fs::set_permissions(home.path(within), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_link_stays_a_link_and_the_file_behind_it_is_changed() {
    let home = ClientHome::new();
    let text = home.fixture("cursor/mcp.json");
    home.write("dotfiles/cursor.json", &text);
    symlink("cursor.json", home.path("dotfiles/link.json")).unwrap();
    fs::create_dir(home.path(".cursor")).unwrap();
    symlink("../dotfiles/link.json", home.path(CURSOR)).unwrap();
    home.run("attach cursor").ok();
    assert_eq!(fs::read_link(home.path(CURSOR)).unwrap().to_str(), Some("../dotfiles/link.json"));
    assert_eq!(fs::read_link(home.path("dotfiles/link.json")).unwrap().to_str(), Some("cursor.json"));
    assert!(home.read("dotfiles/cursor.json").contains("wrap"));
    assert!(home.run("attached --json").json().len() == 1);
    home.run("detach cursor").ok();
    assert_eq!(home.read("dotfiles/cursor.json"), text);
    assert!(home.path(CURSOR).is_symlink());
    assert_eq!(fs::read_dir(home.path("dotfiles")).unwrap().count(), 2, "nothing is left beside the file");
}

#[test]
fn a_directory_that_is_a_link_and_one_that_leads_nowhere_are_both_understood() {
    let home = ClientHome::new();
    let text = home.fixture("cursor/mcp.json");
    home.write("dotfiles/cursor/mcp.json", &text);
    symlink(home.path("dotfiles/cursor"), home.path(".cursor")).unwrap();
    home.run("attach cursor").ok();
    assert!(home.read("dotfiles/cursor/mcp.json").contains("wrap") && home.path(".cursor").is_symlink());
    home.run("detach cursor").ok();
    assert_eq!(home.read("dotfiles/cursor/mcp.json"), text);
    fs::remove_dir_all(home.path("dotfiles/cursor")).unwrap();
    assert_eq!(home.run("attach cursor").code, 1);
    assert_eq!(home.run("attached").code, 0);
}

#[test]
fn the_mode_stays_and_no_copy_has_a_wider_one() {
    for mode in [0o600, 0o644, 0o640, 0o755, 0o200] {
        let (home, text) = with_cursor();
        if mode == 0o200 && !rustix::process::geteuid().is_root() {
            continue;
        }
        set_mode(&home, CURSOR, mode);
        for command in ["attach", "detach"] {
            home.run(&format!("{command} cursor")).ok();
            assert_eq!(home.mode(CURSOR), mode, "{command} {mode:o}");
        }
        assert_eq!(home.read(CURSOR), text);
        let copies = home.backups(CURSOR);
        assert_eq!(copies.len(), 2);
        assert_eq!(fs::read_to_string(&copies[0]).unwrap(), text, "as it was before");
        for copy in &copies {
            assert_eq!(fs::metadata(copy).unwrap().mode() & 0o777, mode, "{}", copy.display());
        }
        for within in [".local/state/mcplog", ".local/state/mcplog/backups"] {
            assert_eq!(home.mode(within), 0o700);
        }
        assert_eq!(home.mode(".local/state/mcplog/attached.json"), 0o600);
    }
}

#[test]
fn the_last_copies_are_kept_and_the_output_names_the_newest() {
    let (home, text) = with_cursor();
    for _ in 0..6 {
        let shown = home.run("attach cursor --json").json();
        let newest = home.backups(CURSOR).pop().unwrap();
        assert_eq!(shown[0]["backup"], newest.to_str().unwrap());
        assert_eq!(fs::read_to_string(newest).unwrap(), text);
        home.run("detach cursor").ok();
    }
    assert_eq!(home.backups(CURSOR).len(), 5);
}

#[test]
fn a_file_that_is_read_only_is_left_so() {
    let (home, text) = with_cursor();
    set_mode(&home, CURSOR, 0o444);
    let run = home.run("attach cursor");
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stderr.contains("read-only") && run.stderr.contains("chmod u+w"), "{}", run.stderr);
    assert_eq!((home.read(CURSOR), home.mode(CURSOR)), (text, 0o444));
    assert!(home.run("attached --json").json().is_empty(), "nothing is remembered that was not done");
}

#[test]
fn a_directory_that_nothing_can_be_written_to_leaves_the_file_as_it_was() {
    let (home, text) = with_cursor();
    set_mode(&home, ".cursor", 0o555);
    let run = home.run("attach cursor");
    if !rustix::process::geteuid().is_root() {
        assert_eq!(run.code, 1, "{}", run.stdout);
        assert!(run.stderr.contains("can't be replaced, and is as it was"), "{}", run.stderr);
        assert_eq!(home.read(CURSOR), text);
        assert!(home.run("attached --json").json().is_empty());
    }
    set_mode(&home, ".cursor", 0o755);
    // No place for what is to be remembered: nothing is done that could not be undone.
    let (home, text) = with_cursor();
    home.write(".local/state", "a file where a directory is to be");
    let run = home.run("attach cursor");
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stderr.contains(".local/state"), "{}", run.stderr);
    assert_eq!(home.read(CURSOR), text);
}

#[test]
fn what_is_too_large_for_the_rest_of_the_disk_leaves_the_file_as_it_was() {
    // As a full disk does, a limit of the process makes writing fail in the midst of it.
    let (home, _) = with_cursor();
    let padding = format!("{{\"padding\": \"{}\",", "x".repeat(60_000));
    let text = home.fixture("cursor/mcp.json").replacen('{', &padding, 1);
    home.write(CURSOR, &text);
    let mut shell = std::process::Command::new("sh");
    let line = format!("trap '' XFSZ; ulimit -f 64; exec {} attach cursor", home.path("bin/mcplog").display());
    shell.arg("-c").arg(line).env_clear().env("HOME", home.path("")).env("PATH", "/usr/bin:/bin");
    shell.current_dir(home.path("work/project"));
    let run: Run = shell.output().unwrap().into();
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stderr.contains("error:") && run.stderr.contains("too large"), "{}", run.stderr);
    assert_eq!(home.read(CURSOR), text);
    assert_eq!(fs::read_dir(home.path(".cursor")).unwrap().count(), 1, "nothing is left beside it");
    home.run("attach cursor").ok();
}

#[test]
fn what_is_no_file_or_no_text_is_said_and_the_other_files_are_attached() {
    let home = ClientHome::with_all_clients();
    for (broken, expected) in [(&b"\xff\xfe{\0"[..], "offset 0"), (b"{\"mcpServers\": }", "line 1"), (b"{", "line 1")] {
        home.write(".cursor/mcp.json", broken);
        let run = home.run("attach cursor");
        assert_eq!(run.code, 2, "{} {}", run.stdout, run.stderr);
        assert!(run.stderr.contains(".cursor/mcp.json") && run.stderr.contains(expected), "{}", run.stderr);
        assert_eq!(fs::read(home.path(".cursor/mcp.json")).unwrap(), broken);
        assert!(home.read("work/project/.cursor/mcp.json").contains("wrap"));
        assert_eq!(home.run("detach cursor").code, 2);
        assert_eq!(home.read("work/project/.cursor/mcp.json"), home.fixture("cursor/project.json"));
    }
    fs::remove_file(home.path(".cursor/mcp.json")).unwrap();
    fs::create_dir(home.path(".cursor/mcp.json")).unwrap();
    let run = home.run("attach cursor --scope user");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("expected a file"), "{}", run.stderr);
}

#[test]
fn other_names_of_a_file_are_told_of() {
    let (home, text) = with_cursor();
    fs::hard_link(home.path(CURSOR), home.path("other.json")).unwrap();
    let shown = home.run("attach cursor").ok();
    assert!(shown.contains("hard links"), "{shown}");
    assert_eq!(home.read("other.json"), text);
}

#[test]
fn several_at_once_attach_every_server_and_remember_all_of_them() {
    let home = ClientHome::new();
    let servers: Vec<String> = (0..8).map(|number| format!("server{number}")).collect();
    let entries: Vec<_> = servers.iter().map(|name| format!("    \"{name}\": {{ \"command\": \"c\" }}")).collect();
    let text = format!("{{\n  \"mcpServers\": {{\n{}\n  }}\n}}\n", entries.join(",\n"));
    home.write(CURSOR, &text);
    let start = |line: String| home.command(&line).spawn().unwrap();
    let end = |child: Child| Run::from(child.wait_with_output().unwrap()).ok();
    let children: Vec<_> = servers.iter().map(|name| start(format!("attach cursor {name}"))).collect();
    children.into_iter().for_each(|child| drop(end(child)));
    assert_eq!(home.read(CURSOR).matches("\"wrap\"").count(), servers.len());
    assert_eq!(home.run("attached --json").json().len(), servers.len());
    let state = home.read(".local/state/mcplog/attached.json");
    for name in &servers {
        assert!(state.contains(&format!("\"server\": \"{name}\"")), "{state}");
    }
    let children: Vec<_> = servers.iter().map(|name| start(format!("detach cursor {name}"))).collect();
    children.into_iter().for_each(|child| drop(end(child)));
    assert_eq!(home.read(CURSOR), text);
}

#[test]
fn who_finds_another_one_at_it_waits_and_gives_up_in_the_end() {
    let (home, text) = with_cursor();
    fs::create_dir_all(home.path(".local/state/mcplog")).unwrap();
    let lock = fs::File::create(home.path(".local/state/mcplog/attached.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let run = home.run("attach cursor");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("another `mcplog attach` or `detach`"), "{}", run.stderr);
    assert_eq!(home.read(CURSOR), text);
    // Who only looks waits for nobody.
    home.run("attach cursor --dry-run").ok();
    home.run("attached").ok();
    drop(lock);
    home.run("attach cursor").ok();
}
