//! The proxy's own answers, to requests that the upstream does not answer.
//!
//! Pure. A POST gets a JSON-RPC error for each of its calls, with the call's id as the client wrote it.

use super::response_body::ResponseBody;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use mcplog_observe::{Failure, Unanswered};

/// The JSON-RPC code of these errors, from the range that is left to implementations.
const PROXY_ERROR_CODE: i32 = -32_050;

/// The answer to a request that has no other.
pub(super) fn failed(method: &Method, unanswered: &Unanswered) -> Response<ResponseBody> {
    let message = unanswered.failure.message();
    let (content_type, text) = if *method == Method::POST {
        ("application/json", error_messages(&message, unanswered))
    } else {
        ("text/plain; charset=utf-8", format!("mcplog proxy: {message}\n"))
    };
    let mut response = Response::new(ResponseBody::own(text));
    *response.status_mut() = status(unanswered.failure);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn status(failure: Failure) -> StatusCode {
    match failure {
        Failure::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Failure::ClientTimeout => StatusCode::REQUEST_TIMEOUT,
        Failure::UpstreamLoop => StatusCode::LOOP_DETECTED,
        // If it hears that, it has not gone: its body can't be read.
        Failure::ClientGone => StatusCode::BAD_REQUEST,
        _ => StatusCode::BAD_GATEWAY,
    }
}

fn error_messages(message: &str, unanswered: &Unanswered) -> String {
    let one = |id: &str| {
        let error = serde_json::json!({
            "code": PROXY_ERROR_CODE,
            "message": format!("mcplog proxy: {message}"),
            "data": {"reason": unanswered.failure.code()},
        });
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
    };
    let messages: Vec<String> = unanswered.ids.iter().map(|id| one(&id.to_json())).collect();
    match messages.as_slice() {
        [] => one("null"),
        [message] if !unanswered.is_batch => message.clone(),
        messages => format!("[{}]", messages.join(",")),
    }
}
