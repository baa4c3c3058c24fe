//! The pooled connections to the upstream.
//!
//! HTTP/1.1, over TLS where the URL says `https`. Used by the forwarding tasks; it must not look at bodies.

use super::buffer::BUFFER_BYTES_MAX;
use super::request_body::RequestBody;
use super::timed_connector::TimedConnector;
use crate::proxy::upstream_url::UpstreamUrl;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long an unused connection is kept. Node's and uvicorn's servers close theirs after five seconds, and a request
/// that meets a closing connection is lost; so the proxy has to be first.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// The client that reaches the upstream.
pub(super) type UpstreamClient = Client<TimedConnector, RequestBody>;

/// Where the connections' tasks run: with the proxy's other tasks, so that its end cuts them and waits for them. They hold
/// bodies of requests, and dropping one may record something.
#[derive(Clone)]
pub(super) struct ConnectionTasks {
    pub(super) tasks: TaskTracker,
    pub(super) cutting: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for ConnectionTasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, connection: F) {
        let cutting = self.cutting.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = connection => {}
                () = cutting.cancelled() => {}
            }
        });
    }
}

/// Why connections to an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("reading certificates from {}", path.display())]
    CaFile {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("no certificate in {}", path.display())]
    NoCertificate { path: PathBuf },
    #[error("a certificate in {} is not usable", path.display())]
    BadCertificate {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("setting up TLS")]
    Tls(#[source] rustls::Error),
}

/// Builds the client for an upstream.
pub(super) fn connect(
    url: &UpstreamUrl,
    connect_timeout: Duration,
    ca_file: Option<&Path>,
    tasks: ConnectionTasks,
) -> Result<UpstreamClient, ConnectError> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(connect_timeout));
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls_config(url.is_tls(), ca_file)?)
        .https_or_http()
        // HTTP/1.1 only: in HTTP/2 the host is part of the request line, and the client's Host could not go through.
        .enable_http1()
        .wrap_connector(http);
    let connector = TimedConnector { connector, limit: connect_timeout };
    Ok(Client::builder(tasks)
        .pool_idle_timeout(POOL_IDLE)
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(BUFFER_BYTES_MAX)
        .http1_preserve_header_case(true)
        .build(connector))
}

fn tls_config(is_needed: bool, ca_file: Option<&Path>) -> Result<rustls::ClientConfig, ConnectError> {
    let mut roots = rustls::RootCertStore::empty();
    if is_needed {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "some of the system's certificates cannot be read");
        }
        let (added, ignored) = roots.add_parsable_certificates(native.certs);
        tracing::debug!(added, ignored, "the system's certificates");
    }
    if let Some(path) = ca_file {
        add_certificates(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ConnectError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn add_certificates(roots: &mut rustls::RootCertStore, path: &Path) -> Result<(), ConnectError> {
    let refuse = |source| ConnectError::CaFile { path: path.to_owned(), source };
    let mut count = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(refuse)? {
        let certificate = certificate.map_err(refuse)?;
        roots.add(certificate).map_err(|source| ConnectError::BadCertificate { path: path.to_owned(), source })?;
        count += 1;
    }
    if count == 0 {
        return Err(ConnectError::NoCertificate { path: path.to_owned() });
    }
    Ok(())
}
