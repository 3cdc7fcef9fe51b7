//! Looks after silent connections, all of a hub at once: a timer for each would cost more than the connection.

use super::connection::Silence;
use super::frame;
use super::hub::Hub;
use crate::limits::SWEEP_EVERY;
use std::rc::Weak;
use std::time::Instant;

/// Runs as long as the hub.
pub(super) async fn run(hub: Weak<Hub>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(hub) = hub.upgrade() else { return };
        let now = Instant::now();
        for connection in hub.connections() {
            connection.rest();
            match connection.judge(now) {
                Silence::Fine => {}
                Silence::Ping => connection.push(frame::ping()),
                Silence::End(end) => connection.end(end),
            }
        }
        hub.service.rates.forget();
        hub.work();
    }
}
