//! A running server: its threads, and how they start and stop.

use crate::admission::InviteKey;
use crate::config::Config;
use crate::descriptors::Descriptors;
use crate::error::StartError;
use crate::fanout::Hubs;
use crate::fanout::hub::Hub;
use crate::groups::{GroupCache, Leases};
use crate::http;
use crate::limits::{BACKLOG, READERS_PER_WORKER, SHUTDOWN_DEADLINE};
use crate::log::writer::Writer;
use crate::log::{Acknowledgements, Health, LogQueue};
use crate::metrics::Metrics;
use crate::name::ServerNames;
use crate::nodes::{self, Announcer, Node};
use crate::rates::{Rates, TrustedProxies};
use crate::receipts::ReceiptKey;
use crate::service::Service;
use crate::store::{self, OpenStore, Store, StoreError, StoreLocation};
use crate::transport::certificates::{Certificates, TlsError};
use crate::transport::{Accepted, Acceptor};
use crate::watch::{Watch, Watched};
use actix_codec::Framed;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request, h1};
use actix_rt::net::TcpStream;
use actix_server::ServerHandle;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// A server on threads of its own. Dropping it stops it at once; [`Server::shutdown`] stops it in order.
pub struct Server {
    local_addr: SocketAddr,
    names: Arc<ServerNames>,
    certificates: Option<Arc<Certificates>>,
    watch_addr: Option<SocketAddr>,
    control: Control,
}

/// What reaches into the running threads.
struct Control {
    actix: ServerHandle,
    hubs: Arc<Hubs>,
    /// Taken by the shutdown: the log writer ends when nobody can queue anything any more.
    log: Option<LogQueue>,
    open: Arc<AtomicUsize>,
    /// Hears that everything is down and the data directory is free.
    down: Option<oneshot::Receiver<()>>,
}

impl Server {
    /// Opens the data directory, listens, and returns when connections are accepted. Works on any runtime.
    ///
    /// Takes as many connections as the process' limit on open files leaves room for at this moment, after what is kept for the
    /// store: call [`raise_open_file_limit`] before. What it logs has no contents; of libraries below it, the database's
    /// driver logs at debug level whatever it writes, so a log that is not to have it leaves that out.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
        let (started, start) = oneshot::channel();
        let (down, is_down) = oneshot::channel();
        let thread = std::thread::Builder::new().name("conclave-server".to_owned());
        thread
            .spawn(move || {
                // Dropped last, so that whoever waits for it finds everything down.
                let _down: oneshot::Sender<()> = down;
                actix_rt::System::new().block_on(run(config, started));
            })
            .map_err(StartError::Thread)?;
        let lost = || StartError::Thread(io::Error::other("the server's thread ended while it started"));
        let mut server: Self = start.await.map_err(|_| lost())??;
        server.control.down = Some(is_down);
        Ok(server)
    }

    /// Where it listens, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where the operator's port is, if there is one.
    pub fn watch_addr(&self) -> Option<SocketAddr> {
        self.watch_addr
    }

    /// The name under which it accepts logins.
    pub fn name(&self) -> &str {
        self.names.announced()
    }

    /// What a client on this machine dials, as in `ws://127.0.0.1:7300`. The socket's path is `/v1/socket`.
    /// With TLS, it dials the name that is in the certificate instead.
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}", self.local_addr)
    }

    /// Reads certificate and key again, for connections from now on. On an error everything stays as it is.
    pub fn reload_certificates(&self) -> Result<(), TlsError> {
        self.certificates.as_ref().map_or(Ok(()), |certificates| certificates.reload())
    }

    /// Returns when the server has ended by itself, which it does only if it cannot go on.
    pub async fn ended(&mut self) {
        if let Some(down) = &mut self.control.down {
            let _ = down.await;
            self.control.down = None;
        }
    }

    /// Stops accepting, stores what was received, closes every socket, and returns when all is down and the data
    /// directory may be opened again; at most 10 seconds.
    pub async fn shutdown(mut self) {
        // A runtime without timers may await this: the deadline is kept by the server's own threads.
        let (hubs, open, log) =
            (self.control.hubs.clone(), self.control.open.clone(), self.control.log.take());
        let actix = self.control.actix.clone();
        let (done, is_done) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("conclave-shutdown".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(stop(&actix, log, &hubs, &open));
            }
            drop(done);
        });
        if thread.is_ok() {
            let _ = is_done.await;
        }
        drop(self.control.actix.stop(false));
        if let Some(down) = self.control.down.take() {
            let _ = down.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.control.actix.stop(false));
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

/// Raises this process' limit on open files as far as the system lets it, and returns it: each connection is one, and
/// the usual limit is 1,024. For programs that run a server or many clients; the server does not do it by itself.
pub fn raise_open_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.unwrap_or(u64::MAX)
}

/// In order: nobody new, everything received is stored and answered, everybody is told goodbye.
async fn stop(actix: &ServerHandle, log: Option<LogQueue>, hubs: &Hubs, open: &AtomicUsize) {
    /// Sockets close within the time that a client gets to answer; this is how often that is looked at.
    const LOOK_AGAIN: Duration = Duration::from_millis(5);
    let in_order = async {
        actix.pause().await;
        if let Some(log) = log {
            log.flush().await;
        }
        hubs.close();
        while open.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(SHUTDOWN_DEADLINE, in_order).await.is_err() {
        tracing::warn!("some connections did not close in time");
    }
}

/// The server's main thread, from start to end.
async fn run(config: Config, started: oneshot::Sender<Result<Server, StartError>>) {
    let parts = match prepare(&config).await {
        Ok(parts) => parts,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let Parts { listener, local_addr, certificates, acceptor, service, hubs, writer, node } = parts;
    let open = Arc::new(AtomicUsize::new(0));
    let names = service.names.clone();
    let control_log = service.log.clone();
    let watched = Watched {
        metrics: service.metrics.clone(),
        health: service.health.clone(),
        room: service.log.room(),
        open: open.clone(),
    };
    let workers = config.worker_count();
    // Each worker's hub holds a share of this; the last one gone lets go of the log and the store.
    let bound = serve(workers, listener, acceptor, &service, &hubs, &open);
    drop(service);
    let actix = match bound {
        Ok(actix) => actix,
        Err(source) => {
            let _ = started.send(Err(StartError::Listen { listen: config.listen, source }));
            return;
        }
    };
    let watch = match config.watch.map(|listen| open_watch(listen, &watched)).transpose() {
        Ok(watch) => watch,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    let control = Control { actix: actix.handle(), hubs, log: Some(control_log), open, down: None };
    let watch_addr = watch.as_ref().map(|watch| watch.local_addr);
    let server = Server { local_addr, names, certificates, watch_addr, control };
    if started.send(Ok(server)).is_ok()
        && let Err(error) = actix.await
    {
        tracing::error!(%error, "the server ended");
    }
    if let Some(watch) = watch {
        watch.close().await;
    }
    // The workers' threads let go of the log when they are gone; then the writer ends, the store's last user.
    let _ = actix_rt::task::spawn_blocking(move || writer.join()).await;
    drop(node);
}

struct Parts {
    listener: TcpListener,
    local_addr: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    acceptor: Acceptor,
    service: Arc<Service>,
    hubs: Arc<Hubs>,
    writer: std::thread::JoinHandle<()>,
    /// This server among others on one database.
    node: Option<Node>,
}

async fn prepare(config: &Config) -> Result<Parts, StartError> {
    let certificates = config.tls.clone().map(Certificates::load).transpose()?;
    let acceptor =
        Acceptor::new(certificates.as_ref()).map_err(|error| StartError::Thread(io::Error::other(error)))?;
    let (listener, local_addr) = listen(config.listen)?;
    let names = Arc::new(ServerNames::new(config.name.as_deref(), local_addr)?);
    let location = config.store.clone();
    let hubs = Arc::new(Hubs::default());
    let of_node = hubs.clone();
    let opened = actix_rt::task::spawn_blocking(move || open(&location, of_node)).await;
    let Opened { store, groups, node, invite_key, receipt_key } =
        opened.map_err(|error| StartError::Thread(io::Error::other(error)))??;
    let (node, announcer) = node.unzip();
    let metrics = Metrics::new().map_err(|error| StartError::Thread(io::Error::other(error)))?;
    let metrics = Arc::new(metrics);
    let (acknowledgements, health) = (Arc::<Acknowledgements>::default(), Arc::<Health>::default());
    let writer = Writer {
        store: store.clone(),
        groups: groups.clone(),
        hubs: hubs.clone(),
        acknowledgements: acknowledgements.clone(),
        health: health.clone(),
        announcer,
        metrics: metrics.clone(),
        retention: config.retention,
    };
    let (log, writer) = writer.start()?;
    let service = Arc::new(Service {
        names,
        store,
        groups,
        leases: Leases::default(),
        log,
        acknowledgements,
        health,
        metrics,
        rates: Rates::default(),
        proxies: TrustedProxies::new(config.trusted_proxies.clone()),
        admission: config.admission,
        invite_key,
        receipt_key,
    });
    Ok(Parts { listener, local_addr, certificates, acceptor, service, hubs, writer, node })
}

/// A store, with what stands before it.
struct Opened {
    store: Arc<dyn Store>,
    groups: Arc<GroupCache>,
    node: Option<(Node, Announcer)>,
    invite_key: InviteKey,
    receipt_key: ReceiptKey,
}

/// Opens a store, and joins the other servers that use it. Blocks.
fn open(location: &StoreLocation, hubs: Arc<Hubs>) -> Result<Opened, StartError> {
    let opened = store::open(location)?;
    let receipt_key = ReceiptKey::of(&opened, location)?;
    let (store, groups, node) = match opened {
        OpenStore::Embedded(store) => {
            let store: Arc<dyn Store> = store;
            let groups = Arc::new(GroupCache::new(store.clone()));
            (store, groups, None)
        }
        OpenStore::Postgres(store) => {
            let groups = Arc::new(GroupCache::new(store.clone()));
            let node = nodes::join(&store, hubs);
            let unusable = |error: StoreError| StartError::Database {
                store: location.to_string(),
                reason: error.reason(),
            };
            let node = Some(node.map_err(unusable)?);
            let store: Arc<dyn Store> = store;
            (store, groups, node)
        }
    };
    Ok(Opened { groups, store, node, invite_key: InviteKey::of(location)?, receipt_key })
}

fn listen(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = || {
        let socket = match listen {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        }?;
        // So that a restart need not wait for the old connections' last packets.
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let local_addr = listener.local_addr()?;
        Ok((listener, local_addr))
    };
    bound().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { listen },
        _ => StartError::Listen { listen, source },
    })
}

fn open_watch(listen_on: SocketAddr, watched: &Watched) -> Result<Watch, StartError> {
    let (listener, _) = listen(listen_on)?;
    Watch::open(listener, watched).map_err(|source| StartError::Listen { listen: listen_on, source })
}

fn serve(
    workers: usize,
    listener: TcpListener,
    acceptor: Acceptor,
    service: &Arc<Service>,
    hubs: &Arc<Hubs>,
    open: &Arc<AtomicUsize>,
) -> io::Result<actix_server::Server> {
    let (service, hubs, open) = (service.clone(), hubs.clone(), open.clone());
    // Beyond it they wait in the system's queue: they cost no file that the store may need.
    let most = Descriptors::of_this_process().connections_per_worker(workers);
    service.metrics.may_open(most.saturating_mul(workers));
    let server = actix_server::Server::build()
        .workers(workers)
        .max_concurrent_connections(most)
        .worker_max_blocking_threads(READERS_PER_WORKER)
        .shutdown_timeout(1)
        .disable_signals()
        .listen("conclave", listener, move || {
            let hub = Hub::start(service.clone(), &hubs, open.clone());
            let health = service.health.clone();
            let app = App::new().configure(move |config| http::routes(config, health.clone()));
            let http = HttpService::build()
                .upgrade(fn_service(move |(request, framed): (Request, Framed<Accepted, h1::Codec>)| {
                    http::upgrade(Rc::clone(&hub), request, framed)
                }))
                .finish(map_config(app, |_| AppConfig::default()));
            let acceptor = acceptor.clone();
            let accept = move |stream: TcpStream| {
                let acceptor = acceptor.clone();
                async move {
                    // Small frames wait for nothing: a round of the hub is one write.
                    stream.set_nodelay(true)?;
                    let peer = stream.peer_addr().ok();
                    let accepted = acceptor.accept(stream).await?;
                    Ok::<_, DispatchError>((accepted, Protocol::Http1, peer))
                }
            };
            fn_service(accept).and_then(http)
        })?;
    Ok(server.run())
}
