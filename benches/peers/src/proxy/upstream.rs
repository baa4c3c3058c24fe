//! The upstream: an MCP server that answers every `tools/call` with the same result, as JSON or as an event stream.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use measure::log::Failure;
use std::convert::Infallible;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// About 1,900 bytes of text, as in the workload of the other measurements.
const RESULT_BYTES: usize = 1_750;

/// Serves until it is killed.
///
/// # Errors
/// There is no free port.
pub(crate) fn run() -> Result<(), Failure> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}/", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                // A client that goes away ends its connection, and that is all.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_stream = request.uri().path().ends_with("/stream");
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let id = id_of(&body);
    let text = "x".repeat(RESULT_BYTES);
    let message = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}],"isError":false}}}}"#
    );
    let (content_type, body) = if is_stream {
        ("text/event-stream", format!("event: message\ndata: {message}\n\n"))
    } else {
        ("application/json", message)
    };
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    Ok(response)
}

/// The load generator writes its ids right after `"id":`; anything else gets `null`.
fn id_of(body: &[u8]) -> &str {
    let text = std::str::from_utf8(body).unwrap_or_default();
    text.split_once(r#""id":"#).and_then(|(_, rest)| rest.split(',').next()).unwrap_or("null")
}
