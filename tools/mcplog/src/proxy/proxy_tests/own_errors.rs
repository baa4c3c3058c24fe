//! The proxy's own errors are JSON, and carry the id that the client sent.

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

#[derive(serde::Deserialize)]
struct Answer {
    id: Box<RawValue>,
    error: Box<RawValue>,
}

/// Ids as they may stand in a request, JSON or not.
fn id() -> impl Strategy<Value = String> {
    let digits = || "[0-9]{1,400}";
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        digits(),
        (digits(), digits()).prop_map(|(whole, part)| format!("-{whole}.{part}e+{part}")),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        // Escapes of all kinds, half surrogate pairs among them.
        proptest::collection::vec("(\\\\u[0-9a-fA-F]{4}|\\\\[\"\\\\/bfnrt]|[a-z])", 0..8)
            .prop_map(|parts| format!("\"{}\"", parts.concat())),
        // What the reading takes along although it is no JSON.
        "[-+.0-9a-zA-Z]{1,12}",
    ]
}

/// What is wanted of the answer's id.
fn is_carried(sent: &str, found: &str) -> bool {
    if serde_json::from_str::<IgnoredAny>(sent).is_err() {
        // A string that no JSON may have, such as one with a tab in it, is read all the same.
        return found == "null" || sent.starts_with('"');
    }
    match (serde_json::from_str::<String>(sent), serde_json::from_str::<String>(found)) {
        (Ok(sent), Ok(found)) => sent == found,
        _ => sent == found,
    }
}

#[tokio::test]
async fn any_error_is_json_and_carries_the_id() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fixture = Fixture::start(ProxyConfig::new(&format!("http://{nowhere}/mcp")).unwrap(), &[]).await;
    let fixed = [
        "1",
        "-0",
        "1e400",
        "1.0",
        "123456789012345678901234567890",
        "01",
        "1x",
        "+1",
        ".5",
        "-",
        "nul",
        "NaN",
        "true",
    ];
    let strings =
        [r#""""#, r#""a\u0022b""#, r#""\ud800""#, r#""\udc00\ud800x""#, r#""\ud83e\udd80""#, "\"\t\"", r#""\/""#];
    let mut runner = TestRunner::deterministic();
    let made = (0..300).map(|_| id().new_tree(&mut runner).unwrap().current());
    let sent: Vec<String> = fixed.iter().chain(&strings).map(|id| (*id).to_owned()).chain(made).collect();
    for id in sent {
        let (status, body) = fixture.post(&[], &call(&id, "ping", "{}")).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        let answer: Answer = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{id}: {error}: {body}"));
        assert!(is_carried(&id, answer.id.get()), "{id}: {body}");
        assert!(answer.error.get().contains("upstream_unreachable"), "{body}");
        let batch = format!("[{},{}]", call(&id, "ping", "{}"), call("7", "ping", "{}"));
        let (_, body) = fixture.post(&[], &batch).await;
        let answers: Vec<Answer> = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{id}: {error}: {body}"));
        assert!(answers.iter().any(|answer| is_carried(&id, answer.id.get())), "{id}: {body}");
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_to_keep_is_not_told_in_part() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fixture = Fixture::start(ProxyConfig::new(&format!("http://{nowhere}/mcp")).unwrap(), &[]).await;
    let (_, body) = fixture.post(&[], &call(&"1".repeat(100_000), "ping", "{}")).await;
    assert_eq!(serde_json::from_str::<Answer>(&body).unwrap().id.get(), "null");
}
