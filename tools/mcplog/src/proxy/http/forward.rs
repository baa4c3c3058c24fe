//! Forwards one request: to the upstream, and its response back to the client.
//!
//! Runs in the client connection's task, which is dropped when the client goes away; everything the exchange holds goes
//! with it. It must not buffer a body, and a panic in it ends no other exchange.

use super::connection_clock::Busy;
use super::error_chain::chain;
use super::fault::{Cause, Fault};
use super::fault_log::FaultLog;
use super::headers::{
    codings, limit_accept_encoding, request_head, response_head, rewrite_host, settle_length, strip_hop_by_hop,
};
use super::lookalikes::Lookalikes;
use super::metrics::Metrics;
use super::open_exchange::OpenExchange;
use super::own_response::failed;
use super::redirect;
use super::refusal::{Refusal, is_chunked_only, take_host_of_target};
use super::request_body::{RequestBody, UploadError};
use super::response_body::{ExchangeGuard, ResponseBody};
use super::upstream::UpstreamClient;
use super::via::Via;
use crate::proxy::upstream_url::UpstreamUrl;
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use mcplog_observe::{Arrival, End, Exchange, Failure, Observer, RequestHead, ResponseReader, Unanswered};
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long to wait for the body of a request that was given up, on a machine that is too busy to run the task that has it.
const GIVE_BACK_TIME: Duration = Duration::from_secs(5);

/// What every exchange of one proxy needs.
pub(super) struct Forwarder {
    pub(super) observer: Arc<Observer>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) faults: Arc<FaultLog>,
    pub(super) upstream: UpstreamUrl,
    pub(super) client: UpstreamClient,
    pub(super) via: Via,
    pub(super) lookalikes: Arc<Lookalikes>,
    pub(super) rewrite_host: bool,
    pub(super) upstream_timeout: Duration,
    pub(super) body_timeout: Duration,
}

impl Forwarder {
    /// Forwards one request.
    pub(super) async fn forward(
        &self,
        arrival: Arrival,
        request: Request<Incoming>,
        busy: Busy,
    ) -> Response<ResponseBody> {
        let (mut head, body) = request.into_parts();
        if let Some(refusal) = Refusal::of(&head, &self.via) {
            return self.refuse(refusal);
        }
        let Ok(uri) = self.upstream.uri_for(&head.uri) else { return self.refuse(Refusal::BadTarget) };
        let seen = RequestHead { path: self.upstream.server_of(uri.path()), ..request_head(&head) };
        let observed = Exchange::begin(&self.observer, arrival, &seen, self.upstream_timeout);
        let (metrics, faults) = (self.metrics.clone(), self.faults.clone());
        let exchange = Arc::new(OpenExchange::new(observed, metrics, faults, self.body_timeout, busy));
        let guard = ExchangeGuard { exchange: exchange.clone() };
        let method = head.method.clone();
        take_host_of_target(&mut head);
        head.uri = uri;
        let answering = async {
            let response = self.ask(head, body, &exchange).await?;
            Ok::<_, Unanswered>(self.pass_back(response, &exchange))
        };
        match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(Ok((head, body, reader))) => Response::from_parts(head, ResponseBody::passing(body, reader, guard)),
            Ok(Err(unanswered)) => self.failed(&method, &unanswered),
            Err(_) => self.failed(&method, &panicked(&exchange).await),
        }
    }

    /// Sends the request, and waits for the head of its response.
    async fn ask(
        &self,
        mut head: http::request::Parts,
        body: Incoming,
        exchange: &Arc<OpenExchange>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let on_its_way = self.lookalikes.set_out(&head);
        let body = RequestBody::new(body, codings(&head.headers), exchange.clone());
        strip_hop_by_hop(&mut head.headers);
        limit_accept_encoding(&mut head.headers);
        if on_its_way.has_lookalike {
            self.via.mark(&mut head.headers, head.version);
        }
        head.version = Version::HTTP_11;
        if self.rewrite_host {
            rewrite_host(&mut head.headers, &head.uri);
        }
        planted_panic(&head.headers, "before");
        let early_reader = body.early_reader();
        let response = self.client.request(Request::from_parts(head, body));
        let response = tokio::select! {
            biased;
            response = response => response,
            () = silence(exchange) => return Err(timed_out(exchange).await),
            never = early_reader => match never {},
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return Err(no_response(exchange, &error).await),
        };
        let cause = if self.via.is_loop(response.headers()) {
            Fault::Loop.into()
        } else if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            Cause::unreadable("another protocol, which nobody asked for")
        } else if !is_chunked_only(response.headers()) {
            Cause::unreadable("a transfer coding other than chunked")
        } else {
            return Ok(response);
        };
        exchange.read_unread().await;
        Err(exchange.fail(&cause, if cause.fault == Fault::Loop { End::Loop } else { End::Broken }))
    }

    /// The response as the client gets it, and what reads along.
    fn pass_back(
        &self,
        response: Response<Incoming>,
        exchange: &OpenExchange,
    ) -> (http::response::Parts, Incoming, Option<ResponseReader>) {
        let (mut head, body) = response.into_parts();
        planted_panic(&head.headers, "after");
        settle_length(&mut head.headers);
        strip_hop_by_hop(&mut head.headers);
        head.version = Version::HTTP_11;
        redirect::lead_back(&mut head.headers, &self.upstream);
        let cause = if head.status == StatusCode::MISDIRECTED_REQUEST && !self.rewrite_host {
            let cause = Cause::from(Fault::Misdirected);
            exchange.tell(&cause);
            Some(cause.words.into_owned())
        } else {
            redirect::target(head.status, &head.headers)
        };
        let seen = response_head(&head, cause.as_deref());
        exchange.observed.on_response_head(&seen);
        let reader = ResponseReader::new(&seen, &exchange.observed);
        (head, body, reader)
    }

    /// The answer to a request that the upstream does not answer.
    fn failed(&self, method: &Method, unanswered: &Unanswered) -> Response<ResponseBody> {
        let mut response = failed(method, unanswered);
        if unanswered.failure == Failure::UpstreamLoop {
            // It may not be the first of its kind: the one before it was asked by this proxy too.
            self.via.mark_loop(response.headers_mut());
        }
        response
    }

    /// The answer to a request that is not forwarded.
    fn refuse(&self, refusal: Refusal) -> Response<ResponseBody> {
        tracing::debug!(?refusal, "a request is not forwarded");
        let mut response = Response::new(ResponseBody::own(format!("mcplog proxy: {}\n", refusal.words())));
        *response.status_mut() = refusal.status();
        refusal.fields(response.headers_mut(), &self.via);
        response
    }
}

/// There is no response. The rest of the request is read, so that its row says what it was.
async fn no_response(exchange: &OpenExchange, error: &hyper_util::client::legacy::Error) -> Unanswered {
    tracing::debug!(error = %chain(error), "no response from the upstream");
    exchange.read_unread().await;
    match upload_error(error) {
        Some(UploadError::Stalled) => exchange.end(End::ClientSilent),
        Some(UploadError::Client(_)) => exchange.end(End::ClientGone),
        None if error.is_connect() => exchange.fail(&Cause::before_response(error, true), End::Unreachable),
        None => exchange.fail(&Cause::before_response(error, false), End::Broken),
    }
}

/// Why the request's own body failed, if it did.
fn upload_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e UploadError> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

/// The upstream was silent for too long, perhaps before it took the request.
async fn timed_out(exchange: &OpenExchange) -> Unanswered {
    let awaited = exchange.awaited();
    read_given_up(exchange).await;
    exchange.fail(&awaited.into(), End::Silent)
}

/// The task panicked, and went on.
async fn panicked(exchange: &OpenExchange) -> Unanswered {
    read_given_up(exchange).await;
    exchange.fail(&Fault::Panicked.into(), End::ProxyFailed)
}

/// Reads what the upstream did not take of a request that was given up.
async fn read_given_up(exchange: &OpenExchange) {
    // The client was dropped, and with it the request's body, unless the connection's task has it: that drops it when it
    // runs next.
    if tokio::time::timeout(GIVE_BACK_TIME, exchange.body_released()).await.is_ok() {
        exchange.read_unread().await;
    }
}

/// Ends when the upstream has been silent for too long. While the client is, the upstream is not to blame.
async fn silence(exchange: &OpenExchange) {
    /// How soon to look again while nobody waits in particular.
    const RECHECK: Duration = Duration::from_secs(1);
    loop {
        let now = Instant::now();
        match exchange.observed.deadline() {
            Some(deadline) if deadline > now => tokio::time::sleep_until(deadline.into()).await,
            Some(_) if !exchange.awaits_client() => return,
            _ => tokio::time::sleep(RECHECK).await,
        }
    }
}

/// Where tests let the proxy fail.
#[cfg(test)]
fn planted_panic(headers: &HeaderMap, place: &str) {
    assert!(headers.get("x-planted-panic").is_none_or(|planted| planted != place), "a planted panic");
}

#[cfg(not(test))]
fn planted_panic(_: &HeaderMap, _: &str) {}
