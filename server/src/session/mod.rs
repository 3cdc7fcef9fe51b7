//! One client on one socket: a pure state machine, and a small loop around it.

pub(crate) mod machine;
pub(crate) mod socket;
mod websocket;

use conclave_wire::ids::{AccountId, DeviceId, DeviceKey};

/// Who a connection has proved to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The account.
    pub(crate) account: AccountId,
    /// The device's key.
    pub(crate) key: DeviceKey,
    /// The device.
    pub(crate) device: DeviceId,
}

impl Identity {
    pub(crate) fn new(account: AccountId, key: DeviceKey) -> Self {
        Self { account, key, device: key.id() }
    }
}
