//! The least a reverse proxy on hyper can do: the same request to the upstream, and its response back, both streamed.

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use measure::log::Failure;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// Serves until it is killed, on as many threads as `mcplog proxy` has.
///
/// # Errors
/// There is no free port.
pub(crate) fn run(upstream: SocketAddr) -> Result<(), Failure> {
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}/", listener.local_addr()?);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client: Client<HttpConnector, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let client = client.clone();
            let forward = service_fn(move |request| forward(client.clone(), upstream, request));
            tokio::spawn(async move {
                // A client that goes away ends its connection, and that is all.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), forward).await;
            });
        }
    })
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    upstream: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<hyper::Response<Incoming>, Failure> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() =
        Uri::builder().scheme("http").authority(upstream.to_string()).path_and_query(target).build()?;
    Ok(client.request(request).await?)
}
