//! Schema versions: from results that pass, merged, and only when something changed.

use super::*;
use mcplog_observe::SCHEMA_BYTES_MAX;
use serde_json::{Value, json};

fn schemas(seen: &[Seen]) -> Vec<(String, Value)> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Schema { method, payload: Some(payload), .. } => {
                Some((method.clone(), serde_json::from_str(payload).unwrap()))
            }
            _ => None,
        })
        .collect()
}

/// A server with a list of tools, two to a page; `names` can be changed while it runs.
async fn server(names: Arc<Mutex<Vec<&'static str>>>, as_events: bool) -> Upstream {
    Upstream::start(move |request, mut reply| {
        let names = names.lock().clone();
        async move {
            let message = request.json();
            let from: usize = message["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
            let tools: Vec<Value> = names.iter().skip(from).take(2).map(|name| json!({"name": name})).collect();
            let mut result = json!({"tools": tools, "ttlMs": from, "_meta": {"at": from}});
            if from + 2 < names.len() {
                result["nextCursor"] = json!((from + 2).to_string());
            }
            if message["method"] != "tools/list" {
                result = json!({"serverInfo": {"name": "s"}, "instructions": "i"});
            }
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
            if as_events {
                reply.stream().await;
                reply.event(answer).await;
                reply.end().await;
            } else {
                reply.json(answer).await;
            }
        }
    })
    .await
}

async fn list(fixture: &Fixture, session: &str, cursor: Option<&str>) {
    let params = cursor.map_or("{}".to_owned(), |cursor| json!({"cursor": cursor}).to_string());
    fixture.post(&[("mcp-session-id", session)], &call("1", "tools/list", &params)).await;
}

#[tokio::test]
async fn a_list_is_recorded_when_it_is_complete_and_again_only_when_it_changed() {
    for as_events in [false, true] {
        let names = Arc::new(Mutex::new(vec!["a", "b", "c"]));
        let upstream = server(names.clone(), as_events).await;
        let fixture = Fixture::new(&upstream).await;
        for _ in 0..2 {
            list(&fixture, "s", None).await;
            list(&fixture, "s", Some("2")).await;
        }
        *names.lock() = vec!["c", "b", "a"];
        list(&fixture, "s", None).await;
        list(&fixture, "s", Some("2")).await;
        *names.lock() = vec!["a", "b"];
        list(&fixture, "s", None).await;
        let expected = [
            (
                "tools/list".to_owned(),
                json!({"tools": [{"name": "a"}, {"name": "b"}, {"name": "c"}], "ttlMs": 0, "_meta": {"at": 0}}),
            ),
            ("tools/list".to_owned(), json!({"tools": [{"name": "a"}, {"name": "b"}], "ttlMs": 0, "_meta": {"at": 0}})),
        ];
        assert_eq!(schemas(&fixture.finish().await), expected, "events: {as_events}");
    }
}

#[tokio::test]
async fn a_page_is_found_by_a_cursor_of_any_length() {
    let cursor = |page: usize| format!("{page}{}", "\u{e4}/".repeat(10_000));
    let upstream = Upstream::start(move |request, mut reply| async move {
        let asked = request.json()["params"]["cursor"].as_str().map(str::to_owned);
        let page = (0..3).find(|page| asked == Some(cursor(*page))).map_or(0, |page| page + 1);
        let mut result = json!({"tools": [{"name": page.to_string()}]});
        if page < 3 {
            result["nextCursor"] = cursor(page).into();
        }
        reply.json(json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string()).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    list(&fixture, "s", None).await;
    for page in 0..3 {
        list(&fixture, "s", Some(&cursor(page))).await;
    }
    let seen = schemas(&fixture.finish().await);
    let names: Vec<Value> = (0..4).map(|page: usize| json!({"name": page.to_string()})).collect();
    assert_eq!(seen.iter().map(|(_, result)| &result["tools"]).collect::<Vec<_>>(), [&Value::from(names)]);
}

#[tokio::test]
async fn chains_of_different_sessions_do_not_mix_and_an_abandoned_one_changes_nothing() {
    let names = Arc::new(Mutex::new(vec!["a", "b", "c"]));
    let upstream = server(names.clone(), false).await;
    let fixture = Fixture::new(&upstream).await;
    list(&fixture, "abandons", None).await;
    list(&fixture, "s", None).await;
    *names.lock() = vec!["x", "y", "z"];
    list(&fixture, "t", None).await;
    list(&fixture, "t", Some("2")).await;
    list(&fixture, "u", Some("2")).await;
    let seen = schemas(&fixture.finish().await);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1["tools"], json!([{"name": "x"}, {"name": "y"}, {"name": "z"}]));
}

/// Clients without sessions, each page of whose lists travels over a connection of its own. The cursors are the same for all.
#[tokio::test]
async fn pages_of_a_session_that_was_made_up_come_over_any_connection_and_clients_do_not_mix() {
    let upstream = Upstream::start(|request, mut reply| async move {
        let message = request.json();
        let client = &message["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"];
        let page = message["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse::<u8>().unwrap());
        let name = format!("{}{page} at {}", client.as_str().unwrap(), request.target());
        let mut result = json!({"tools": [{"name": name}], "resultType": "complete"});
        if page < 2 {
            result["nextCursor"] = json!((page + 1).to_string());
        }
        reply.json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let walks = [("cursor", "/mcp"), ("zed", "/mcp"), ("cursor", "/other"), ("cursor", "/mcp")];
    for page in 0..3 {
        for (client, path) in walks {
            let mut params = json!({"_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": client, "version": "1"},
            }});
            if page > 0 {
                params["cursor"] = json!(page.to_string());
            }
            let message = call(&page.to_string(), "tools/list", &params.to_string());
            let response = fixture.send("POST", path, &[("connection", "close")], message.as_bytes()).await;
            read_all(response).await;
        }
    }
    let seen = fixture.finish().await;
    let sessions: Vec<_> = requests(&seen).into_iter().map(|row| row.session.unwrap()).collect();
    // A client has a session with each server that it asks.
    assert!(sessions[0] != sessions[1] && sessions[0] != sessions[2] && sessions[0] == sessions[3], "{sessions:?}");
    let mut lists: Vec<String> = schemas(&seen).iter().map(|(_, list)| list["tools"].to_string()).collect();
    lists.sort_unstable();
    let whole = |client: &str, path: &str| {
        let page = |page| json!({"name": format!("{client}{page} at {path}")});
        json!([page(0), page(1), page(2)]).to_string()
    };
    assert_eq!(lists, [whole("cursor", "/mcp"), whole("cursor", "/other"), whole("zed", "/mcp")]);
}

#[tokio::test]
async fn both_handshakes_say_what_the_server_is() {
    let upstream = server(Arc::default(), false).await;
    let fixture = Fixture::new(&upstream).await;
    for method in ["initialize", "server/discover", "initialize", "ping"] {
        fixture.post(&[], &call("1", method, "{}")).await;
    }
    let seen = fixture.finish().await;
    let payload = json!({"serverInfo": {"name": "s"}, "instructions": "i"});
    assert_eq!(schemas(&seen), [("initialize".to_owned(), payload.clone()), ("server/discover".to_owned(), payload)]);
    let Some(Seen::Schema { proxy, upstream_url, hash, .. }) = others(&seen).pop() else { panic!("{seen:?}") };
    assert_eq!((proxy.as_str(), upstream_url), ("tested", format!("http://{}/mcp", upstream.address)));
    assert_eq!(hash.len(), 64);
}

#[tokio::test]
async fn servers_under_one_origin_have_versions_of_their_own() {
    let upstream = Upstream::start(|request, mut reply| async move {
        let message = request.json();
        let server = request.target().trim_end_matches('/').to_owned();
        let mut result = json!({"tools": [{"name": server}], "serverInfo": {"name": server}});
        if message["params"]["cursor"].is_null() {
            result["nextCursor"] = "2".into();
        }
        reply.json(json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string()).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    // In one session, on one connection, in turns: pages of one server's list are no pages of the other's.
    let session = [("mcp-session-id", "s")];
    for _ in 0..3 {
        for params in ["{}", r#"{"cursor":"2"}"#] {
            for path in ["/mcp", "/", "/servers/a/mcp", "/servers/b/mcp", "/servers/b/mcp/", "/mcp/"] {
                let body = call("1", "tools/list", params);
                read_all(fixture.send("POST", path, &session, body.as_bytes()).await).await;
            }
        }
    }
    let seen = fixture.finish().await;
    let origin = format!("http://{}", upstream.address);
    let versions: Vec<_> = others(&seen)
        .into_iter()
        .map(|seen| {
            let Seen::Schema { upstream_url, payload: Some(payload), .. } = seen else { panic!("{seen:?}") };
            let payload: Value = serde_json::from_str(&payload).unwrap();
            let path = upstream_url.strip_prefix(&origin).unwrap().to_owned();
            assert_eq!(payload["tools"], json!([{"name": path}, {"name": path}]));
            path
        })
        .collect();
    assert_eq!(versions, ["/mcp", "/servers/a/mcp", "/servers/b/mcp"]);
    let endpoints: Vec<_> = requests(&seen).into_iter().filter_map(|row| row.endpoint).collect();
    let turn = ["/mcp", "/mcp", "/servers/a/mcp", "/servers/b/mcp", "/servers/b/mcp", "/mcp"];
    assert_eq!(endpoints, turn.repeat(6));
}

#[tokio::test]
async fn what_the_store_knows_already_is_no_new_version() {
    let upstream = server(Arc::new(Mutex::new(vec!["a"])), false).await;
    let config = ProxyConfig::new(&format!("http://{}/mcp", upstream.address)).unwrap();
    let first = Fixture::start(config.clone(), &[]).await;
    list(&first, "s", None).await;
    let Some(Seen::Schema { proxy, upstream_url, method, hash, caller, .. }) = others(&first.finish().await).pop()
    else {
        panic!("no schema was recorded")
    };
    let known = |upstream_url: &str, caller: &str| -> SchemaHash {
        let known = json!({
            "proxy": proxy, "upstream_url": upstream_url, "method": method, "schema_hash": hash, "caller": caller,
            "since_ts": 1, "last_ts": 1,
        });
        serde_json::from_value(known).unwrap()
    };
    let cases = [
        // What is on record, of this caller or another one, and elsewhere: how many records, and with payloads.
        (known(&upstream_url, &caller), 0, 0),
        (known(&upstream_url, "another"), 1, 0),
        (known("http://elsewhere/mcp", &caller), 1, 1),
    ];
    for (known, records, payloads) in cases {
        let again = Fixture::start(config.clone(), std::slice::from_ref(&known)).await;
        list(&again, "s", None).await;
        let seen = others(&again.finish().await);
        assert_eq!((seen.len(), schemas(&seen).len()), (records, payloads), "{known:?}");
    }
}

/// The callers and the payloads' tools of what was recorded.
fn sightings(seen: &[Seen]) -> Vec<(String, Option<String>)> {
    let of = |seen: &Seen| match seen {
        Seen::Schema { caller, payload, .. } => Some((caller.clone(), payload.clone())),
        _ => None,
    };
    seen.iter().filter_map(of).collect()
}

#[tokio::test]
async fn two_users_who_are_offered_different_things_make_nothing_new_by_taking_turns() {
    let upstream = Upstream::start(|request, mut reply| async move {
        let tool = if request.header("authorization") == Some("Bearer alice") { "few" } else { "many" };
        let id = &request.json()["id"];
        reply.json(json!({"jsonrpc": "2.0", "id": id, "result": {"tools": [{"name": tool}]}}).to_string()).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    for _ in 0..10 {
        for token in ["Bearer alice", "Bearer bob"] {
            fixture.post(&[("authorization", token)], &call("1", "tools/list", "{}")).await;
        }
    }
    let seen = sightings(&fixture.finish().await);
    let [(alice, Some(few)), (bob, Some(many)), rest @ ..] = &seen[..] else { panic!("{seen:?}") };
    assert!(few.contains("few") && many.contains("many") && alice != bob, "{seen:?}");
    // Once, that the older of the two is still offered. Not even that if all came within a millisecond.
    assert!(rest.is_empty() || rest == [(alice.clone(), None)], "{rest:?}");
    for (caller, _) in &seen {
        assert!(caller.starts_with("auth-") && !caller.contains("alice") && !caller.contains("bob"), "{caller}");
    }
}

#[tokio::test]
async fn a_client_without_a_credential_is_known_by_its_name_in_both_eras() {
    let upstream = Upstream::start(|request, mut reply| async move {
        let message = request.json();
        let result = if message["method"] == "initialize" {
            json!({"serverInfo": {"name": "s"}})
        } else {
            json!({"tools": [{"name": "a"}]})
        };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        let headers = [("content-type", "application/json"), ("mcp-session-id", "s1")];
        let is_session = message["method"] == "initialize";
        reply.whole(200, &headers[..1 + usize::from(is_session)], answer).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    fixture.post(&[], &call("1", "initialize", r#"{"clientInfo":{"name":"cursor","version":"1"}}"#)).await;
    list(&fixture, "s1", None).await;
    let meta = r#"{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"zed"},"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
    fixture.post(&[], &call("2", "tools/list", meta)).await;
    list(&fixture, "unheard-of", None).await;
    let callers: Vec<_> = sightings(&fixture.finish().await).into_iter().map(|(caller, _)| caller).collect();
    assert_eq!(callers, ["cursor", "cursor", "zed", ""]);
}

#[tokio::test]
async fn a_list_that_fails_passes_and_changes_nothing() {
    let upstream = Upstream::start(|request, mut reply| async move {
        match request.json()["id"].as_u64() {
            Some(1) => reply.json(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#).await,
            _ => reply.json(r#"{"jsonrpc":"2.0","id":2,"result":{"tools":"none"}}"#).await,
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    for id in ["1", "2"] {
        fixture.post(&[], &call(id, "tools/list", "{}")).await;
    }
    let seen = fixture.finish().await;
    assert_eq!(others(&seen), []);
    let gists: Vec<String> = requests(&seen).iter().map(Row::gist).collect();
    assert_eq!(gists, ["tools/list 1 error 1", "tools/list 2 ok"]);
}

#[tokio::test]
async fn a_list_of_megabytes_is_a_version_and_one_that_is_too_long_says_so() {
    let upstream = Upstream::start(|request, mut reply| async move {
        let message = request.json();
        let id = message["id"].as_u64().unwrap();
        let bytes = if id < 3 { 3_000_000 } else { SCHEMA_BYTES_MAX };
        let tool = json!({"name": "a", "description": "x".repeat(bytes)});
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": {"tools": [tool]}}).to_string();
        if id % 2 == 0 {
            reply.stream().await;
            reply.event(answer).await;
            reply.end().await;
        } else {
            reply.json(answer).await;
        }
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    for id in 1..=4 {
        let (_, body) = fixture.post(&[], &call(&id.to_string(), "tools/list", "{}")).await;
        assert!(body.len() > 3_000_000);
    }
    let lists = schemas(&fixture.finish().await);
    assert_eq!(lists.len(), 2);
    assert_eq!(lists[0].1["tools"][0]["description"].as_str().unwrap().len(), 3_000_000);
    assert_eq!(lists[1].1, json!({"mcplogCut": {"moreThanBytes": SCHEMA_BYTES_MAX}}));
}
