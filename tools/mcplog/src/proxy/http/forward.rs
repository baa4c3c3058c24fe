//! Forwards one request: to the upstream, and its response back to the client.
//!
//! Runs in the client connection's task, which is dropped when the client goes away; everything the exchange holds goes
//! with it. It must not buffer a body.

use super::error_chain::chain;
use super::headers::{codings, limit_accept_encoding, request_head, response_head, strip_hop_by_hop};
use super::metrics::Metrics;
use super::open_exchange::OpenExchange;
use super::request_body::RequestBody;
use super::response_body::{ExchangeGuard, ResponseBody};
use super::upstream::UpstreamClient;
use crate::proxy::upstream_url::UpstreamUrl;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use mcplog_observe::{Arrival, End, Exchange, Failure, Observer, ResponseReader, Unanswered};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The JSON-RPC code of the errors that the proxy answers itself, from the range that is left to implementations.
const PROXY_ERROR_CODE: i32 = -32_050;
/// How long to wait for the body of a request that was given up, on a machine that is too busy to run the task that has it.
const GIVE_BACK_TIME: Duration = Duration::from_secs(5);

/// What every exchange of one proxy needs.
pub(super) struct Forwarder {
    pub(super) observer: Arc<Observer>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) upstream: UpstreamUrl,
    pub(super) client: UpstreamClient,
    pub(super) rewrite_host: bool,
    pub(super) upstream_timeout: Duration,
}

impl Forwarder {
    /// Forwards one request.
    pub(super) async fn forward(&self, arrival: Arrival, request: Request<Incoming>) -> Response<ResponseBody> {
        let (mut head, body) = request.into_parts();
        let observed = Exchange::begin(&self.observer, arrival, &request_head(&head), self.upstream_timeout);
        let exchange = Arc::new(OpenExchange::new(observed, self.metrics.clone()));
        let guard = ExchangeGuard { exchange: exchange.clone() };
        let method = head.method.clone();
        let body = RequestBody::new(body, codings(&head.headers), exchange.clone());
        match self.upstream.uri_for(&head.uri) {
            Ok(uri) => head.uri = uri,
            Err(error) => {
                tracing::debug!(%error, "a request with a target that cannot be forwarded");
                return own_response(&method, StatusCode::BAD_REQUEST, "the request target cannot be forwarded", None);
            }
        }
        head.version = Version::HTTP_11;
        strip_hop_by_hop(&mut head.headers);
        limit_accept_encoding(&mut head.headers);
        if self.rewrite_host {
            // The client fills in the upstream's own.
            head.headers.remove(HOST);
        }
        let response = self.client.request(Request::from_parts(head, body));
        let response = tokio::select! {
            response = response => response,
            () = silence(&exchange.observed) => return timed_out(&method, &exchange).await,
        };
        match response {
            Ok(response) => pass_back(response, guard),
            Err(error) => self.no_response(&method, &exchange, &error).await,
        }
    }

    /// There is no response. The rest of the request is read, so that its row says what it was.
    async fn no_response(
        &self,
        method: &Method,
        exchange: &OpenExchange,
        error: &hyper_util::client::legacy::Error,
    ) -> Response<ResponseBody> {
        tracing::debug!(error = %chain(error), "no response from the upstream");
        exchange.read_unread().await;
        // hyper calls it the user's error when the request's own body fails, and that body is the client's.
        let is_upload = std::error::Error::source(error)
            .and_then(|source| source.downcast_ref::<hyper::Error>())
            .is_some_and(hyper::Error::is_user);
        // What the client's library itself says is only which step failed, and the row says that already.
        let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
        let end = if error.is_connect() {
            End::Unreachable(&cause)
        } else if is_upload {
            End::ClientGone
        } else {
            End::Broken(&cause)
        };
        failed(method, &exchange.end(end))
    }
}

/// The upstream was silent for too long, perhaps before it took the request.
async fn timed_out(method: &Method, exchange: &OpenExchange) -> Response<ResponseBody> {
    // The client was dropped, and with it the request's body, unless the connection's task has it: that drops it when it
    // runs next.
    if tokio::time::timeout(GIVE_BACK_TIME, exchange.body_released()).await.is_ok() {
        exchange.read_unread().await;
    }
    failed(method, &exchange.end(End::Silent))
}

/// Ends when the upstream has been silent for too long.
async fn silence(exchange: &Exchange) {
    /// How soon to look again while nobody waits in particular.
    const RECHECK: Duration = Duration::from_secs(1);
    loop {
        let now = Instant::now();
        match exchange.deadline() {
            Some(deadline) if deadline <= now => return,
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => tokio::time::sleep(RECHECK).await,
        }
    }
}

fn pass_back(response: Response<Incoming>, guard: ExchangeGuard) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    strip_hop_by_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    let observed = &guard.exchange.observed;
    let seen = response_head(&head);
    observed.on_response_head(&seen);
    let reader = ResponseReader::new(&seen, observed);
    Response::from_parts(head, ResponseBody::passing(body, reader, guard))
}

/// The proxy's own answer to a request that has none.
fn failed(method: &Method, unanswered: &Unanswered) -> Response<ResponseBody> {
    let is_timeout = unanswered.failure == Failure::Timeout;
    let status = if is_timeout { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    own_response(method, status, &unanswered.failure.message(), Some(unanswered))
}

fn own_response(
    method: &Method,
    status: StatusCode,
    message: &str,
    unanswered: Option<&Unanswered>,
) -> Response<ResponseBody> {
    let (content_type, text) = match unanswered {
        Some(unanswered) if method == Method::POST => ("application/json", error_messages(message, unanswered)),
        _ => ("text/plain; charset=utf-8", format!("mcplog proxy: {message}\n")),
    };
    let mut response = Response::new(ResponseBody::own(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
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
