//! The operator's own port: whether the server lives, whether it is ready, and what it counts.
//!
//! On an address of its own, so that it need not be reachable from where clients are.

use crate::log::{Health, Room};
use crate::metrics::Metrics;
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is shown.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) room: Room,
    pub(crate) open: Arc<AtomicUsize>,
}

/// The port, open.
pub(crate) struct Watch {
    /// Where it is, with the real port.
    pub(crate) local_addr: SocketAddr,
    handle: ServerHandle,
}

impl Watch {
    /// Opens it. Runs on the present thread's system until it is stopped.
    pub(crate) fn open(listener: TcpListener, watched: &Watched) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let watched = watched.clone();
        let app = move || {
            let (metrics, ready) = (watched.clone(), watched.clone());
            App::new()
                .route("/healthz", web::get().to(async || "ok\n"))
                .route("/readyz", web::get().to(move || is_ready(ready.clone())))
                .route("/metrics", web::get().to(move || show(metrics.clone())))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Ok(Self { local_addr, handle })
    }

    /// Closes it.
    pub(crate) async fn close(self) {
        self.handle.stop(false).await;
    }
}

async fn is_ready(watched: Watched) -> HttpResponse {
    ready(&watched.health)
}

/// Whether requests are served.
pub(crate) fn ready(health: &Health) -> HttpResponse {
    if health.is_ready() {
        HttpResponse::Ok().body("ready\n")
    } else {
        HttpResponse::ServiceUnavailable().body("cannot store anything; see the log\n")
    }
}

async fn show(watched: Watched) -> HttpResponse {
    let Watched { metrics, health, room, open } = watched;
    let text = metrics.render(open.load(Ordering::Acquire), &health, &room);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}
