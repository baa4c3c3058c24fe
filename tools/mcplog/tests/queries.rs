//! `mcplog logs`, `stats`, `sessions` and `schema`, as processes: what people and scripts see.

mod common;

use common::Fixture;
use insta::assert_snapshot;
use std::process::Stdio;

#[test]
fn tables_at_80_columns() {
    let fixture = Fixture::with_events();
    assert_snapshot!("logs", fixture.run("logs").ok());
    assert_snapshot!("stats", without_database_size(&fixture.run("stats").ok()));
    assert_snapshot!("sessions", fixture.run("sessions").ok());
    assert_snapshot!("clients", fixture.run("sessions --clients").ok());
    assert_snapshot!("schema", fixture.run("schema").ok());
    assert_snapshot!("schema_changes", fixture.run("schema --changes").ok());
}

/// A request for each outcome, with what else the proxy says of it.
fn outcomes() -> String {
    let of = |second: u32, status: &str, method: &str, fields: &str| {
        let ts = 1_740_823_200_000_i64 + i64::from(second) * 1000;
        format!(
            r#"{{"type":"request","request_id":"r{second}","ts":{ts},"proxy":"p","method":"{method}","latency_us":1000,"status":"{status}",{fields}}}"#
        ) + "\n"
    };
    let refused = "tcp connect error: Connection refused (os error 111)";
    [
        of(1, "ok", "tools/call", r#""tool":"a","tool_error":false,"http_status":200"#),
        of(
            2,
            "ok",
            "tools/call",
            r#""tool":"a","tool_error":true,"outcome":"tool_error","error_msg":"no such file:\n\u001b[31m/etc/x\u202e""#,
        ),
        of(3, "error", "tools/call", r#""tool":"a","outcome":"cancelled","error_code":"cancelled""#),
        of(4, "error", "ping", r#""outcome":"redirected","http_status":307,"error_code":"no_response""#),
        of(5, "ok", "subscriptions/listen", r#""outcome":"ended","cause":"client_gone""#),
        of(6, "ok", "tools/call", r#""tool":"ask","tool_error":false,"outcome":"input_required""#),
        of(7, "error", "tools/call", r#""tool":"a","outcome":"lost","error_code":"proxy_shutdown""#),
        of(8, "error", "server/discover", r#""outcome":"probe","error_code":"-32601","error_msg":"no such method""#),
        of(9, "timeout", "ping", r#""outcome":"timeout","error_code":"upstream_timeout""#),
        of(
            10,
            "error",
            "tools/call",
            &format!(
                r#""tool":"a","error_code":"upstream_unreachable","error_msg":"the upstream could not be reached","cause":"{refused}""#
            ),
        ),
    ]
    .concat()
}

#[test]
fn tools_of_several_servers_behind_one_proxy_are_told_apart_and_of_one_they_look_as_ever() {
    let call = |number: i64, server: &str, tool: &str| {
        let ts = 1_740_823_200_000 + number;
        format!(
            r#"{{"type":"request","request_id":"r{number}","ts":{ts},"proxy":"p","method":"tools/call","tool":"{tool}","latency_us":1000,"status":"ok","endpoint":"/servers/{server}/mcp"}}
"#
        )
    };
    let one = Fixture::new();
    one.ingest([call(1, "a", "search"), call(2, "a", "search")].concat()).ok();
    let header = one.run("stats").ok().lines().next().unwrap().to_owned();
    assert!(!header.contains("ENDPOINT"), "{header}");
    let several = Fixture::new();
    let lines = [call(1, "a", "search"), call(2, "b", "search"), call(3, "a", "search"), call(4, "b", "write")];
    several.ingest(lines.concat()).ok();
    assert_snapshot!("stats_of_servers", without_database_size(&several.run("stats").ok()));
    let rows = several.run("stats --json --endpoint /servers/b/mcp").json();
    let gist: Vec<_> = rows.iter().map(|row| (row["tool"].as_str(), row["calls"].as_i64())).collect();
    assert_eq!(gist, [(Some("search"), Some(1)), (Some("write"), Some(1))]);
    assert_eq!(several.run("logs --json --endpoint /servers/a/mcp").json().len(), 2);
    assert_eq!(several.run("slow --json --endpoint /servers/c/mcp").json().len(), 0);

    let offer = |server: &str| {
        let (url, payload) = (format!("http://h:9/servers/{server}/mcp"), r#"{\"tools\":[{\"name\":\"search\"}]}"#);
        format!(
            r#"{{"type":"schema_version","ts":1740823200000,"proxy":"p","upstream_url":"{url}","method":"tools/list","payload":"{payload}","content_hash":"1"}}
"#
        )
    };
    several.ingest([offer("a"), offer("b"), offer("c")].concat()).ok();
    assert_snapshot!("schema_of_servers", several.run("schema").ok());
    let unused: Vec<_> =
        several.run("unused --json").json().into_iter().map(|row| row["upstream_url"].clone()).collect();
    assert_eq!(unused, ["http://h:9/servers/c/mcp"]);
}

#[test]
fn an_outcome_that_says_more_than_the_status_and_a_cause_are_shown_within_80_columns() {
    let fixture = Fixture::new();
    fixture.ingest(outcomes()).ok();
    let logs = fixture.run("logs").ok();
    assert!(logs.lines().all(|line| line.chars().count() <= 80), "{logs}");
    assert_snapshot!("logs_outcomes", logs);
    let stats = fixture.run("stats").ok();
    assert!(stats.lines().all(|line| line.chars().count() <= 80), "{stats}");
    assert_snapshot!("stats_outcomes", without_database_size(&stats));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let fixture = Fixture::with_events();
    for line in ["logs", "stats", "sessions", "sessions --clients", "schema", "schema --changes"] {
        for row in fixture.run(line).ok().lines() {
            assert!(row.chars().count() <= 80, "{line}: {row}");
        }
    }
}

#[test]
fn a_wide_terminal_shows_more() {
    let fixture = Fixture::with_events();
    let wide = |line: &str| {
        let output = fixture.command(line.split(' ')).env("COLUMNS", "160").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_snapshot!("logs_wide", wide("logs --errors"));
    assert_snapshot!("stats_wide", without_database_size(&wide("stats")));
    assert_snapshot!("sessions_wide", wide("sessions"));
}

#[test]
fn json_is_one_object_per_line_with_the_documented_fields() {
    let fixture = Fixture::with_events();
    // The newest of each; rows are numbered in the order of the log, so even the ids are known.
    for (name, line) in [
        ("json_logs", "logs --limit 2"),
        ("json_stats", "stats"),
        ("json_sessions", "sessions"),
        ("json_clients", "sessions --clients"),
        ("json_schema", "schema"),
        ("json_schema_changes", "schema --changes"),
    ] {
        assert_snapshot!(name, fixture.run(&format!("{line} --json")).ok());
    }
}

#[test]
fn the_help_documents_every_field_of_the_json() {
    let fixture = Fixture::with_events();
    for line in ["logs", "stats", "sessions", "sessions --clients", "schema", "schema --changes"] {
        let help = fixture.run(&format!("{line} --help")).ok();
        let rows = fixture.run(&format!("{line} --json")).json();
        for field in rows[0].as_object().unwrap().keys() {
            assert!(help.contains(field.as_str()), "{line} --help does not explain {field}");
        }
    }
}

#[test]
fn filters_narrow() {
    let fixture = Fixture::with_events();
    let cases = [
        ("", 12),
        ("--limit 5", 5),
        ("--limit 0", 12),
        ("--errors", 4),
        ("--status ok", 9),
        ("--status timeout", 1),
        ("--tool search_books", 2),
        ("--method resources/read", 2),
        ("--slower-than 20ms", 3),
        ("--proxy books", 12),
        ("--proxy others", 0),
        ("--session 5a1c0de0-0000", 5),
        ("--session b0b5c0de-0000-4000-8000-00000000000b", 4),
        ("--session 01955120", 1),
        ("--since 2025-03-01T10:00:05Z", 5),
        ("--until 2025-03-01T10:00:05Z", 7),
        ("--since 2025-03-02", 0),
        ("--since 1h", 0),
        ("--since 2025-03-01 --until 2025-03-02 --tool search_books --slower-than 15ms", 1),
    ];
    for (filter, expected) in cases {
        let rows = fixture.run(&format!("logs --json {filter}")).json();
        assert_eq!(rows.len(), expected, "{filter}");
    }
    assert_eq!(fixture.run("stats --json --tool search_books").json()[0]["calls"], 2);
    assert_eq!(fixture.run("sessions --json --errors").json().len(), 3);
    assert_eq!(fixture.run("sessions --json --client openai-mcp").json().len(), 1);
    assert_eq!(fixture.run("schema --json --method tools/list").json().len(), 1);
    assert_eq!(fixture.run("schema --changes --json --since 2025-03-01T10:00:05Z").json().len(), 3);
}

#[test]
fn a_limit_says_that_it_cut_and_only_then() {
    let fixture = Fixture::with_events();
    for (line, rows) in
        [("logs", 12), ("sessions", 4), ("sessions --clients", 4), ("schema", 2), ("schema --changes", 5)]
    {
        let cut = fixture.run(&format!("{line} --limit {}", rows - 1)).ok();
        assert!(cut.contains("--limit 0 shows all"), "{line}: {cut}");
        let whole = fixture.run(&format!("{line} --limit {rows}")).ok();
        assert!(!whole.contains("--limit 0 shows all"), "{line}: {whole}");
    }
    let json = fixture.run("logs --limit 3 --json");
    assert_eq!(json.stderr, "Cut at the newest 3 requests; --limit 0 shows all.\n");
    assert_eq!(json.json().len(), 3);
}

#[test]
fn a_process_that_recorded_is_told_with_how_it_ended_and_how_much_it_recorded() {
    let fixture = Fixture::with_events();
    let rows = fixture.run("writers --json").json();
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!((&row["state"], &row["ended"]), (&"closed".into(), &"closed".into()), "{row}");
        assert!(row["process_id"].is_i64() && row["started_at"].as_i64() <= row["ended_at"].as_i64(), "{row}");
        let id = row["writer_id"].as_str().unwrap();
        let line = fixture.run("writers").ok().lines().find(|line| line.contains(&id[..8])).unwrap().to_owned();
        assert!(line.contains("closed") && !line.contains(id), "{line}");
        assert!(fixture.run("writers --wide").ok().contains(id));
    }
    // Each log's first record and last are its own.
    let folded: i64 = rows.iter().map(|row| row["folded_records"].as_i64().unwrap()).sum();
    let events = fixture.table("requests").len() + fixture.table("sessions").len();
    assert!(folded >= (events + 2 * rows.len()) as i64, "{folded}");
    // Some that nobody has noted the end of; of one, its log is there still.
    fixture.database().execute("UPDATE writers SET ended = NULL, ended_at = NULL", []).unwrap();
    assert!(fixture.run("writers --json").json().iter().all(|row| row["state"] == "unknown"));
    std::fs::create_dir(fixture.dir().join("wal").join(rows[0]["writer_id"].as_str().unwrap())).unwrap();
    let states = fixture.run("writers --json").json();
    let states: Vec<_> = states.iter().map(|row| (&row["writer_id"], row["state"].as_str().unwrap())).collect();
    for (id, state) in states {
        assert_eq!(state, if *id == rows[0]["writer_id"] { "ended" } else { "unknown" });
    }
    assert!(fixture.run("writers --until 1990-01-01").ok().contains("o writer"));
}

/// Notes are broken where the terminal ends.
fn in_one_line(text: &str) -> String {
    text.trim_end().replace('\n', " ")
}

#[test]
fn missing_events_are_pointed_out() {
    let fixture = Fixture::with_events();
    let gap =
        "INSERT INTO gaps (from_ts, to_ts, events, writer, sequence) VALUES (1740823202000, 1740823203000, 1200, 1, 1)";
    fixture.database().execute(gap, []).unwrap();
    let note = "1,200 events are missing: lost in 1 gap between 2025-03-01 10:00:02 and 2025-03-01 10:00:03.\n";
    for line in ["logs", "stats", "sessions", "schema"] {
        let run = fixture.run(line);
        assert!(in_one_line(&run.stdout).ends_with(note.trim_end()), "{line}: {}", run.stdout);
        let json = fixture.run(&format!("{line} --json"));
        assert_eq!(json.stderr, note, "{line}");
    }
    assert!(!fixture.run("logs --since 2025-03-01T10:00:04Z").ok().contains("missing"));
}

#[test]
fn what_could_not_be_folded_is_pointed_out() {
    let fixture = Fixture::with_events();
    let row = "INSERT INTO quarantine (writer, segment, offset, bytes, sequence, reason, noted_at)
         VALUES (1, 1, 4096, 64, 9, 'r', 0)";
    fixture.database().execute(row, []).unwrap();
    let text = fixture.run("logs --limit 1").ok();
    assert!(text.ends_with("1 record could not be folded; table quarantine says where and why.\n"), "{text}");
}

#[test]
fn data_can_not_reach_the_terminal_raw() {
    let fixture = Fixture::with_events();
    for line in ["logs", "logs --json"] {
        let text = fixture.run(line).ok();
        assert!(text.contains("esrever"), "the row with the hidden characters is not shown");
        let acts = |character: char| character != '\n' && mcplog_terminal::hidden::is_hidden(character);
        assert!(!text.contains(acts), "{text}");
    }
}

#[test]
fn colours_are_for_terminals_only() {
    let fixture = Fixture::with_events();
    assert!(!fixture.run("logs").ok().contains('\u{1b}'));
    let forced = fixture.command(["logs"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(String::from_utf8(forced.stdout).unwrap().contains("\u{1b}[1m2025-03-01"));
    let refused = fixture.command(["logs"]).env("NO_COLOR", "1").output().unwrap();
    assert!(!String::from_utf8(refused.stdout).unwrap().contains('\u{1b}'));
    assert!(fixture.run("logs --color always").ok().contains('\u{1b}'));
    assert!(!fixture.run("--color never logs").ok().contains('\u{1b}'));
}

#[test]
fn every_form_of_a_time_is_understood_and_anything_else_is_told_what_is() {
    let fixture = Fixture::with_events();
    // All events are of 2025-03-01, from 10:00 UTC on.
    for (when, expected) in [
        ("2025-03-01", 12),
        ("2025-03-01T10:00:05", 5),
        ("2025-03-01T11:00:05+01:00", 5),
        ("1740823205000", 5),
        ("14:03", 0),
        ("2h", 0),
        ("100 years", 12),
    ] {
        let run: common::Run = fixture.command(["logs", "--json", "--since", when]).output().unwrap().into();
        assert_eq!(run.json().len(), expected, "{when}");
    }
    for when in ["soon", "15", "1740823205"] {
        let run = fixture.run(&format!("logs --since {when}"));
        assert_eq!(run.code, 1);
        assert!(run.stderr.contains(mcplog_terminal::moment::SPELLING), "{}", run.stderr);
    }
    let run = fixture.run("logs --slower-than 5");
    assert!(run.stderr.contains(mcplog_terminal::duration::SPELLING), "{}", run.stderr);
    assert_eq!(fixture.run("logs --json --slower-than 20ms").json().len(), 3);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let fixture = Fixture::with_events();
    for line in ["logs", "logs --json", "stats", "sessions", "schema", "--help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = fixture.command(line.split(' ')).stdout(Stdio::from(writer)).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{line}");
    }
}

#[test]
fn without_a_store_every_query_says_what_to_do() {
    let fixture = Fixture::new();
    for line in ["logs", "stats", "sessions", "schema"] {
        let run = fixture.run(line);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{line}");
        assert!(run.stderr.contains("no store here") && run.stderr.contains("mcplog demo"), "{}", run.stderr);
    }
    assert!(!fixture.dir().exists(), "a query made a directory");
}

#[test]
fn requests_of_several_proxies_say_whose_they_are_and_of_one_they_look_as_ever() {
    let fixture = Fixture::new();
    let request = |proxy: &str, ts: i64| {
        format!(
            r#"{{"type":"request","request_id":"r{ts}","ts":{ts},"proxy":"{proxy}","method":"ping","latency_us":1,"status":"ok"}}"#
        ) + "\n"
    };
    fixture.ingest(request("files", 1_760_000_000_000)).ok();
    for line in ["logs", "slow"] {
        let table = fixture.run(line).ok();
        assert!(!table.contains("PROXY") && !table.contains("files"), "{line}: {table}");
    }
    fixture.ingest(request("weather", 1_760_000_000_001)).ok();
    for line in ["logs", "slow"] {
        let table = fixture.run(line).ok();
        let lines: Vec<_> = table.lines().collect();
        let at = lines[0].find("PROXY").unwrap_or_else(|| panic!("{line}: {table}"));
        let shown: Vec<_> = lines[1..3].iter().map(|row| row[at..].split_whitespace().next().unwrap()).collect();
        assert!(shown.contains(&"files") && shown.contains(&"weather"), "{line}: {table}");
    }
}

#[test]
fn an_empty_store_says_so_in_a_sentence() {
    let fixture = Fixture::new();
    fixture.ingest("").ok();
    for line in ["logs", "stats", "sessions", "schema", "schema --changes"] {
        let text = in_one_line(&fixture.run(line).ok());
        assert!(text.starts_with("Nothing is recorded in ") && text.contains("mcplog proxy"), "{line}: {text}");
        let json = fixture.run(&format!("{line} --json"));
        assert_eq!(json.json(), [] as [serde_json::Value; 0]);
    }
}

#[test]
fn nothing_that_matches_says_what_there_is() {
    let fixture = Fixture::with_events();
    let text = fixture.run("logs --tool nothing").ok();
    assert_eq!(text, "No request matches. 12 requests are on record, the latest at 2025-03-01\n10:00:08.\n");
}

#[test]
fn a_session_is_found_by_the_beginning_of_its_id_if_that_is_clear() {
    let fixture = Fixture::with_events();
    let several = fixture.run("logs --session 5a1c");
    assert_eq!(several.code, 1);
    assert!(several.stderr.contains("several sessions begin with 5a1c"), "{}", several.stderr);
    let none = fixture.run("logs --session nobody");
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("no session begins with nobody"), "{}", none.stderr);
}

#[test]
fn wrong_usage_is_exit_code_1() {
    let fixture = Fixture::new();
    for line in
        ["", "nonsense", "logs --limit many", "logs --since soon", "logs --status good", "sessions --nope", "ingest"]
    {
        let run = fixture.run(line);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{line}");
        assert!(!run.stderr.is_empty(), "{line}");
    }
}

/// The last number of `stats` depends on how SQLite lays out its pages.
fn without_database_size(text: &str) -> String {
    let cut = |line: &str| {
        line.split_once("; the database takes ").map(|(before, _)| format!("{before}; the database takes SIZE."))
    };
    let lines: Vec<String> = text.lines().map(|line| cut(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.join("\n")
}

#[test]
fn a_damaged_database_is_told_with_the_next_step() {
    let fixture = Fixture::with_events();
    std::fs::write(fixture.dir().join("store.db"), [b'x'; 8192]).unwrap();
    for line in ["logs", "stats", "sessions", "schema", "unused", "slow"] {
        let run = fixture.run(line);
        assert_eq!(run.code, 1);
        assert!(run.stderr.contains("mcplog check") && run.stderr.contains("mcplog rebuild"), "{line}: {}", run.stderr);
    }
}

/// The store of [`common::EVENTS`], whose server offers one user more tools than others.
fn with_variants() -> Fixture {
    let fixture = Fixture::new();
    let line = |ts: i64, caller: &str, hash: &str, payload: &str| {
        let line = serde_json::json!({
            "type": "schema_version", "ts": ts, "proxy": "books", "upstream_url": "http://127.0.0.1:9000/mcp",
            "method": "tools/list", "content_hash": hash.repeat(64), "caller": caller,
            "payload": Some(payload).filter(|payload| !payload.is_empty()),
        });
        format!("{line}\n")
    };
    let many = r#"{"tools":[{"name":"search_books"},{"name":"track_order"},{"name":"set_prices"}]}"#;
    let lines = [
        line(1_740_823_210_000, "auth-3fa9c2d1e0b74a55", "4", many),
        line(1_740_823_211_000, "claude-code", "3", ""),
        line(1_740_823_212_000, "cursor", "3", ""),
    ];
    fixture.ingest(format!("{}{}", common::EVENTS, lines.concat())).ok();
    fixture
}

#[test]
fn what_different_callers_are_offered_is_shown_and_that_it_differs() {
    let fixture = with_variants();
    let table = fixture.run("schema").ok();
    assert!(table.lines().all(|row| row.chars().count() <= 80), "{table}");
    assert_snapshot!("schema_variants", table);
    assert_snapshot!("schema_changes_of_variants", fixture.run("schema --changes --since 2025-03-01T10:00:08Z").ok());
    let rows = fixture.run("schema --json --method tools/list").json();
    let callers: Vec<_> = rows.iter().map(|row| row["callers"].clone()).collect();
    let expected = [serde_json::json!(["", "claude-code", "cursor"]), serde_json::json!(["auth-3fa9c2d1e0b74a55"])];
    assert_eq!(callers, expected);
}

#[test]
fn of_a_list_that_is_too_long_to_be_kept_whole_the_tools_and_their_changes_are_shown() {
    let fixture = Fixture::new();
    let line = |ts: i64, modified: usize, tools: usize| {
        let description = |tool: usize| "x".repeat(if tool == modified { 999 } else { 1000 });
        let tool = |tool| serde_json::json!({"name": format!("tool{tool:04}"), "description": description(tool)});
        let payload = serde_json::json!({"tools": (0..tools).map(tool).collect::<Vec<_>>()}).to_string();
        let line = serde_json::json!({
            "type": "schema_version", "ts": ts, "proxy": "p", "upstream_url": "http://u", "method": "tools/list",
            "payload": payload, "content_hash": format!("{ts}{modified}"),
        });
        format!("{line}\n")
    };
    // The last one is kept whole.
    let lines = [line(1_740_823_200_000, 0, 2900), line(1_740_823_201_000, 7, 2901), line(1_740_823_202_000, 7, 10)];
    fixture.ingest(lines[..2].concat()).ok();
    let table = fixture.run("schema").ok();
    assert!(table.contains("2,901 tools"), "{table}");
    assert!(table.contains("2.9 MiB: too long to be kept whole"), "{table}");
    assert!(table.lines().all(|row| row.chars().count() <= 80), "{table}");
    fixture.ingest(&lines[2]).ok();
    let changes = fixture.run("schema --changes --json --limit 0").json();
    let gist = |change: &serde_json::Value| format!("{} {}", change["change_type"], change["item_name"]);
    let gists: Vec<_> = changes.iter().map(gist).collect();
    let found = &gists[..5];
    assert_eq!(
        found,
        [
            "\"initial\" null",
            "\"tool_modified\" \"tool0000\"",
            "\"tool_modified\" \"tool0007\"",
            "\"tool_added\" \"tool2900\"",
            "\"tool_removed\" \"tool0010\"",
        ]
    );
    assert_eq!(gists.len(), 4 + 2901 - 10);
    assert!(!fixture.run("schema").ok().contains("too long"));
}

#[test]
fn noise_has_a_column_only_where_a_session_has_some_and_the_highest_number_counts() {
    let said = |session: &str, client: &str, noise: &str| {
        format!(
            r#"{{"type":"session","session_id":"{session}","proxy":"files","started_at":1760000000000{client}{noise}}}"#
        )
    };
    let client = r#","client_name":"claude-code""#;
    let counted = |lines: u64| format!(r#","noise_lines":{lines}"#);
    let quiet = [said("quiet", client, ""), said("counted", client, &counted(0))];
    let fixture = Fixture::new();
    fixture.ingest(quiet.join("\n")).ok();
    assert!(!fixture.run("sessions").ok().contains("NOISE"));
    // Out of order, and once before anybody knew the client.
    let noisy = [said("noisy", client, &counted(12)), said("noisy", client, &counted(1_200)), said("noisy", "", "")];
    fixture.ingest(noisy.join("\n")).ok();
    assert_snapshot!("sessions_with_noise", fixture.run("sessions").ok());
    let rows = fixture.run("sessions --json").json();
    let told: Vec<_> = rows.iter().map(|row| (&row["session_id"], &row["noise_lines"])).collect();
    let (null, json) = (serde_json::Value::Null, |text: &str| serde_json::Value::from(text));
    assert_eq!(told, [(&json("counted"), &0.into()), (&json("noisy"), &1_200.into()), (&json("quiet"), &null)]);
    assert!(rows.iter().all(|row| row["client_name"] == "claude-code"), "{rows:?}");
}
