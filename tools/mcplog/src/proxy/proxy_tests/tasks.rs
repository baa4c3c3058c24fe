//! Calls that become tasks, and the requests about those: 2025-11-25, and the extension of 2026-07-28.

use super::*;
use serde_json::{Value, json};

/// What a server answers to a request about a task, by its method: the result.
type Answers = fn(&str) -> Value;

const CALL: &str = r#"{"name":"slow","arguments":{}}"#;
const TASK: &str = r#"{"taskId":"task-7"}"#;

/// A row, as far as these tests are about it.
fn gist(row: &Row) -> String {
    let failed = row.tool_error.map_or("-", |failed| if failed { "failed" } else { "fine" });
    let said = row.message.as_deref().map_or(String::new(), |message| format!(" {message}"));
    format!("{} {} {failed}{said}", row.method, row.target.as_deref().unwrap_or("-"))
}

async fn rows_of(answers: Answers, methods: &[&str], headers: &[(&str, &str)]) -> Vec<Row> {
    let upstream = Upstream::start(move |request, mut reply| async move {
        let message = request.json();
        let result = answers(message["method"].as_str().unwrap());
        reply.json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()).await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    for (id, method) in methods.iter().enumerate() {
        let params = if *method == "tools/call" { CALL } else { TASK };
        fixture.post(headers, &call(&id.to_string(), method, params)).await;
    }
    fixture.rows(methods.len()).await
}

#[tokio::test]
async fn a_task_of_2025_11_25_is_named_by_all_its_rows_and_fails_by_its_result() {
    let answers: Answers = |method| match method {
        "tools/call" => json!({"task": {"taskId": "task-7", "status": "working"}}),
        "tasks/result" => json!({"content": [{"type": "text", "text": "nope"}], "isError": true}),
        _ => json!({"taskId": "task-7", "status": "failed", "statusMessage": "it failed"}),
    };
    let methods = ["tools/call", "tasks/get", "tasks/result", "tasks/cancel"];
    let rows = rows_of(answers, &methods, &[("mcp-session-id", "s")]).await;
    let gists: Vec<_> = rows.iter().map(gist).collect();
    let expected =
        ["tools/call task-7 -", "tasks/get task-7 -", "tasks/result task-7 failed nope", "tasks/cancel task-7 -"];
    assert_eq!(gists, expected);
    assert_eq!(rows[0].tool.as_deref(), Some("slow"));
    let made_by = Some(rows[0].request_id.clone());
    let links: Vec<_> = rows.iter().map(|row| row.retry_of.clone()).collect();
    assert_eq!(links, [None, made_by.clone(), made_by.clone(), made_by]);
    assert_eq!(rows[2].outcome, Some(Outcome::ToolError));
}

#[tokio::test]
async fn a_task_of_the_extension_fails_by_its_state() {
    let failed: Answers = |method| match method {
        "tools/call" => json!({"resultType": "task", "taskId": "task-7", "status": "working"}),
        "tasks/get" => json!({"resultType": "complete", "taskId": "task-7", "status": "completed", "result": {
            "content": [{"type": "text", "text": "nope"}], "isError": true}}),
        _ => json!({"resultType": "complete"}),
    };
    let refused: Answers = |method| match method {
        "tools/call" => started(),
        _ => json!({"resultType": "complete", "taskId": "task-7", "status": "failed",
            "error": {"code": -32603, "message": "boom"}}),
    };
    let fine: Answers = |method| match method {
        "tools/call" => started(),
        _ => json!({"resultType": "complete", "taskId": "task-7", "status": "completed", "result": {
            "content": [{"type": "text", "text": "yes"}], "isError": false}}),
    };
    for (answers, said) in [(failed, "failed nope"), (refused, "failed boom"), (fine, "-")] {
        let rows = rows_of(answers, &["tools/call", "tasks/get", "tasks/get"], &[]).await;
        let gists: Vec<_> = rows.iter().map(gist).collect();
        let state = format!("tasks/get task-7 {said}");
        assert_eq!(gists, ["tools/call task-7 -", &state, &state]);
        assert!(rows[1..].iter().all(|row| row.retry_of.as_ref() == Some(&rows[0].request_id)));
        let outcome = if said == "-" { Outcome::Ok } else { Outcome::ToolError };
        assert_eq!((rows[1].outcome, rows[1].status), (Some(outcome), Status::Ok));
    }
}

fn started() -> Value {
    json!({"resultType": "task", "taskId": "task-7", "status": "working"})
}

#[tokio::test]
async fn what_only_looks_like_a_task_is_none() {
    let answers: Answers = |method| match method {
        "tools/call" => json!({"taskId": "task-7", "content": [], "result": {"isError": true}}),
        _ => json!({"resultType": "task", "taskId": "task-7"}),
    };
    let rows = rows_of(answers, &["tools/call", "ping", "tasks/get"], &[]).await;
    assert_eq!(rows.iter().map(gist).collect::<Vec<_>>(), ["tools/call - fine", "ping - -", "tasks/get task-7 -"]);
    assert_eq!(rows[2].retry_of, None, "nobody saw it being made");
}
