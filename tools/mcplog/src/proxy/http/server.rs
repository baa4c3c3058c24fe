//! Listens for clients, serves their connections, and ends in good order.
//!
//! One task accepts, one task serves each connection, and one gives up on responses that stayed away. One thread looks at
//! schemas. Nothing here may interpret what passes.

use super::buffer::BUFFER_BYTES_MAX;
use super::client_stream::ClientStream;
use super::connection_clock::{ClientLimits, ConnectionClock, Phase};
use super::error_chain::chain;
use super::fault_log::QUIET;
use super::forward::Forwarder;
use super::gate::Gate;
use super::metrics::Metrics;
use super::refusal::text_response;
use super::upstream::{ConnectError, ConnectionTasks, connect};
use super::via::Via;
use crate::proxy::config::ProxyConfig;
use crate::recording::{KnownSchemas, SchemaThread, new_watch};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcplog::burst::Burst;
use mcplog_observe::{KnownSessions, Observer, Sink, Surroundings, SystemClock};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often calls are looked over that wait for an answer on another stream. They wait for seconds.
const GIVE_UP_INTERVAL: Duration = Duration::from_millis(500);
/// How often it is looked whether trouble that the diagnostics told of is over.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait after `accept` failed, which it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("listening on {address}")]
    Listen {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Upstream(#[from] ConnectError),
    #[error("starting the schema thread")]
    SchemaThread(#[source] std::io::Error),
    #[error("starting the admin server")]
    Admin(#[source] std::io::Error),
}

/// The recording reverse proxy, with all that it needs, before it serves anybody: who connects has to wait.
pub(crate) struct Proxy {
    door: Door,
    local_addr: SocketAddr,
    schema: Arc<SchemaThread>,
    drain: Duration,
    ends: Ends,
}

/// What ends the tasks of one proxy.
#[derive(Clone, Default)]
struct Ends {
    /// No more connections, and the idle ones close.
    draining: CancellationToken,
    /// The remaining connections are dropped, those to the upstream too.
    cutting: CancellationToken,
    /// All that may have something to record.
    tasks: TaskTracker,
}

/// A proxy that is running. Dropping it cuts everything off; [`ProxyHandle::shutdown`] ends it in good order.
pub(crate) struct ProxyHandle {
    local_addr: SocketAddr,
    observer: Arc<Observer>,
    schema: Arc<SchemaThread>,
    drain: Duration,
    ends: Ends,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Takes the address that clients connect to. Who comes before the proxy serves has to wait.
    pub(crate) async fn bind(config: &ProxyConfig) -> Result<TcpListener, StartError> {
        let refuse = |source| StartError::Listen { address: config.listen.clone(), source };
        TcpListener::bind(&config.listen).await.map_err(refuse)
    }

    /// Starts a proxy on the current tokio runtime. `known` has what the store knows of schemas; that of other proxies
    /// and upstreams is ignored.
    pub(crate) async fn start(
        config: &ProxyConfig,
        sink: impl Sink,
        known: &KnownSchemas,
    ) -> Result<ProxyHandle, StartError> {
        let listener = Self::bind(config).await?;
        let proxy = Self::prepare(listener, config, Arc::new(sink))?;
        proxy.learner()(Some(known.clone()));
        Ok(proxy.serve())
    }

    /// Does all that can fail before somebody is served: on an address that was taken before, within a tokio runtime. It
    /// looks at no schema before it [learned](Self::learner) what is on record.
    pub(crate) fn prepare(
        listener: TcpListener,
        config: &ProxyConfig,
        sink: Arc<dyn Sink>,
    ) -> Result<Self, StartError> {
        let refuse = |source| StartError::Listen { address: config.listen.clone(), source };
        let local_addr = listener.local_addr().map_err(refuse)?;
        let metrics = Arc::new(Metrics::default());
        let proxy: Arc<str> = config.name.as_str().into();
        let ends = Ends::default();
        let tasks = ConnectionTasks { tasks: ends.tasks.clone(), cutting: ends.cutting.clone() };
        let client = connect(&config.upstream, config.connect_timeout, config.ca_file.as_deref(), tasks)?;
        let counts = metrics.observed.clone();
        let watch = new_watch(sink.clone(), counts.clone(), proxy.clone(), config.upstream.origin().into());
        let schema = Arc::new(SchemaThread::start(counts.clone(), watch).map_err(StartError::SchemaThread)?);
        let observer = Observer::new(Surroundings {
            proxy,
            sink,
            schema: schema.clone(),
            counts,
            clock: Arc::new(SystemClock),
            session_idle_ms: i64::try_from(config.session_idle_ms).unwrap_or(i64::MAX),
        });
        observer.keep_error_text(config.keeps_error_text);
        let forwarder = Arc::new(Forwarder {
            observer,
            metrics,
            upstream: config.upstream.clone(),
            client,
            faults: Arc::default(),
            via: Via::new(),
            lookalikes: Arc::default(),
            rewrite_host: config.rewrite_host,
            upstream_timeout: config.upstream_timeout,
            body_timeout: config.body_timeout,
        });
        let door = Door { listener, gate: Gate::new(config.max_connections), limits: config.client_limits, forwarder };
        Ok(Self { door, local_addr, schema, drain: config.drain, ends })
    }

    /// Tells the proxy what is on record of schemas, as often as a store is opened; `None` when one is gone.
    pub(crate) fn learner(&self) -> impl Fn(Option<KnownSchemas>) + Send + 'static {
        let schema = self.schema.clone();
        move |known| schema.learn(known)
    }

    /// Tells the proxy what is on record of sessions that go on, as often as anybody knows.
    pub(crate) fn session_learner(&self) -> impl Fn(KnownSessions) + Send + 'static {
        let observer = self.door.forwarder.observer.clone();
        move |known| observer.learn_sessions(known)
    }

    /// What it counts.
    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        self.door.forwarder.metrics.clone()
    }

    /// Serves from now on, on the current tokio runtime.
    pub(crate) fn serve(self) -> ProxyHandle {
        let Self { door, local_addr, schema, drain, ends } = self;
        let observer = door.forwarder.observer.clone();
        let Ends { draining, cutting, tasks } = ends.clone();
        tasks.spawn(give_up_overdue(observer.clone(), cutting.clone()));
        let accepting = tokio::spawn(accept(door, tasks, draining, cutting));
        ProxyHandle { local_addr, observer, schema, drain, ends, accepting }
    }
}

impl ProxyHandle {
    /// How many calls are known and not over.
    #[cfg(test)]
    pub(crate) fn open_calls(&self) -> u64 {
        self.observer.open_calls()
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// From now on open requests may go on for so long at shutdown.
    pub(crate) fn set_drain(&mut self, drain: Duration) {
        self.drain = drain;
    }

    /// From now on rows say with which words a server or a tool failed, or don't.
    pub(crate) fn keep_error_text(&self, is_kept: bool) {
        self.observer.keep_error_text(is_kept);
    }

    /// Says whether connections are accepted, or rightly not any more, as long as anybody asks.
    pub(crate) fn accepts(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let (accepting, draining) = (self.accepting.abort_handle(), self.ends.draining.clone());
        move || draining.is_cancelled() || !accepting.is_finished()
    }

    /// Accepts nothing more, waits for open requests as long as the configuration allows, cuts off what remains, and
    /// records all of it. When it returns, every event was handed to the sink.
    pub(crate) async fn shutdown(mut self) {
        self.observer.drain();
        self.ends.draining.cancel();
        let until = tokio::time::Instant::now() + self.drain;
        // Streams that nobody waits on stay open for as long as their client likes, so the requests count and not the
        // connections.
        while self.observer.open_calls() > 0 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.observer.stop();
        self.ends.cutting.cancel();
        if let Err(error) = (&mut self.accepting).await {
            tracing::error!(%error, "the accepting task");
        }
        // Those that have a request's body on its way to the upstream among them: what they drop becomes a row.
        self.ends.tasks.close();
        self.ends.tasks.wait().await;
        self.observer.finish();
        let schema = self.schema.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || schema.stop()).await {
            tracing::error!(%error, "ending the schema thread");
        }
    }
}

impl Drop for ProxyHandle {
    fn drop(&mut self) {
        self.observer.stop();
        self.ends.draining.cancel();
        self.ends.cutting.cancel();
    }
}

/// Where clients come in.
struct Door {
    listener: TcpListener,
    gate: Gate,
    limits: ClientLimits,
    forwarder: Arc<Forwarder>,
}

async fn accept(door: Door, tasks: TaskTracker, draining: CancellationToken, cutting: CancellationToken) {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
    let mut failing = Burst::new(QUIET);
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            _ = looks.tick() => {
                let now = Instant::now();
                door.gate.look(now);
                door.forwarder.faults.look(now);
                if let Some(over) = failing.over(now) {
                    tracing::warn!(times = over.times, lasted_ms = over.lasted_ms(), "connections are accepted again");
                }
                continue;
            }
            () = draining.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                match failing.note(1, Instant::now()) {
                    true => tracing::warn!(%error, "accepting a connection"),
                    false => tracing::debug!(%error, "accepting a connection, again"),
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(permit) = door.gate.enter() else {
            door.forwarder.metrics.connections_refused.add(1);
            if let Some(refusing) = door.gate.refuse(stream) {
                tasks.spawn(refusing);
            }
            continue;
        };
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let (forwarder, draining, cutting) = (door.forwarder.clone(), draining.clone(), cutting.clone());
        let clock = Arc::new(ConnectionClock::new(door.limits, Instant::now()));
        tasks.spawn(async move {
            // Whatever becomes of the task: it may panic.
            let _counted = Counted::new(forwarder.metrics.clone());
            tokio::select! {
                () = serve(stream, peer.ip(), number, clock, forwarder, draining) => {}
                () = cutting.cancelled() => {}
            }
            drop(permit);
        });
    }
}

/// An open client connection, as it is counted.
struct Counted(Arc<Metrics>);

impl Counted {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.connections.rise();
        Self(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fall();
    }
}

/// Serves one client connection to its end.
async fn serve(
    stream: TcpStream,
    client: IpAddr,
    number: u64,
    clock: Arc<ConnectionClock>,
    forwarder: Arc<Forwarder>,
    draining: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let stream = ClientStream::new(stream, clock.clone());
    let beginning = clock.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = beginning.begin();
        let forwarder = forwarder.clone();
        let arrival = forwarder.observer.arrival(Some(address_number(client)), number);
        async move { Ok::<_, Infallible>(forwarder.forward(arrival, request, busy).await) }
    });
    let mut connection = http1::Builder::new()
        // The connection's clock has limits of its own, which tell a slow head from an idle connection.
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES_MAX)
        .preserve_header_case(true)
        // The upstream decides whether its responses have a date.
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut is_draining = false;
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            () = draining.cancelled(), if !is_draining => {
                is_draining = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
            phase = clock.overdue() => {
                tracing::debug!(connection = number, ?phase, "a client took too long");
                if phase == Phase::Head && clock.has_read() {
                    let words = "the request's head did not come in time";
                    let stream = connection.into_parts().io.into_inner();
                    stream.send_now(&text_response(StatusCode::REQUEST_TIMEOUT, "", words));
                }
                return;
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(connection = number, error = %chain(&error), "a connection broke off");
    }
}

/// The client's address as the observer takes it. An IPv4 client is the same by whichever family of sockets it came.
fn address_number(client: IpAddr) -> u128 {
    match client {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Ends calls that wait for an answer on another stream, when their time is over.
async fn give_up_overdue(observer: Arc<Observer>, cutting: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(GIVE_UP_INTERVAL) => observer.give_up_overdue(),
            () = cutting.cancelled() => return,
        }
    }
}
