//! HTTP: what operators and browsers ask, and the door to the one socket.

use crate::fanout::hub::Hub;
use crate::log::Health;
use crate::session::socket;
use crate::transport::Accepted;
use crate::watch;
use actix_codec::Framed;
use actix_http::body::BoxBody;
use actix_http::{Request, Response, StatusCode, h1, ws};
use actix_web::{HttpResponse, web};
use futures_util::SinkExt;
use std::rc::Rc;
use std::sync::Arc;

/// Where the socket is.
pub(crate) const SOCKET_PATH: &str = "/v1/socket";

/// What is asked without an upgrade.
pub(crate) fn routes(config: &mut web::ServiceConfig, health: Arc<Health>) {
    config
        .route("/healthz", web::get().to(async || "ok\n"))
        .route("/readyz", web::get().to(move || ready(health.clone())))
        .route(SOCKET_PATH, web::to(async || not_a_browser_page()));
}

async fn ready(health: Arc<Health>) -> HttpResponse {
    watch::ready(&health)
}

fn not_a_browser_page() -> HttpResponse {
    HttpResponse::UpgradeRequired()
        .insert_header(("Upgrade", "websocket"))
        .body("this is a WebSocket; use the conclave command\n")
}

/// Takes every request to upgrade, whatever its path: they all come here.
pub(crate) async fn upgrade(
    hub: Rc<Hub>,
    request: Request,
    mut framed: Framed<Accepted, h1::Codec>,
) -> Result<(), actix_web::Error> {
    let handshake = if request.path() == SOCKET_PATH {
        ws::handshake(request.head()).map_err(Response::<BoxBody>::from)
    } else {
        Err(Response::new(StatusCode::NOT_FOUND))
    };
    let (response, accepted) = match handshake {
        Ok(mut switching) => (switching.finish().map_into_boxed_body(), true),
        Err(refusal) => (refusal, false),
    };
    let from = request.peer_addr().map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |from| from.ip());
    let peer = hub.service.proxies.peer(from, request.head().headers());
    drop(request);
    let response = response.drop_body();
    let sent = framed.send(h1::Message::Item((response, actix_http::body::BodySize::None))).await;
    if accepted && sent.is_ok() {
        let parts = framed.into_parts();
        let (io, mut read) = (parts.io, parts.read_buf);
        drop((parts.codec, parts.write_buf));
        if read.is_empty() {
            // The HTTP side's buffer is empty, but large.
            read = bytes::BytesMut::new();
        }
        Box::pin(socket::serve(hub, io.into(), read, peer)).await;
    }
    Ok(())
}
