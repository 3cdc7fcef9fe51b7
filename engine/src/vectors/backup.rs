//! A backup.

use super::second::{cbor, kdf, pad, public, seal};
use super::{Script, array, bytes, check, hx, seed};
use crate::{BackupKey, Device};
use conclave_wire::ids::{DeviceKey, GroupId, Timestamp};
use serde_json::json;

#[test]
fn a_backup() {
    let now = Timestamp(1_750_000_000_000);
    let kem_seed = [seed("kem d"), seed("kem z")].concat();
    let (account, device) = (seed("alice account"), seed("alice device"));
    let draws: [&[u8]; 4] = [&account, &device, &seed("agreement"), &kem_seed];
    let (alice, _changes) = Device::create(now, &mut Script::new(&draws)).unwrap();
    let manifest = alice.manifest().encoded().to_vec();
    let (key, salt, group, history) = (seed("backup key"), seed("salt"), seed("group"), b"what was said");

    let holder = DeviceKey::from_bytes(public(&device)).id();
    let identity = cbor::array(&[
        cbor::bstr(account),
        cbor::bstr(device),
        cbor::bstr(holder.as_bytes()),
        cbor::array(&[cbor::bstr(&manifest)]),
    ]);
    let content = cbor::structure(&[identity, cbor::array(&[cbor::bstr(group)]), cbor::bstr(history)]);
    let wide = kdf("backup", &[&key, &salt], 88);
    let ciphertext = seal(&wide[..32], &wide[32..56], &[], &pad(&content));
    let backup = cbor::structure(&[cbor::bstr(salt), cbor::bstr(&wide[56..]), cbor::bstr(&ciphertext)]);
    let vectors = json!([{
        "backup_key": hx(key),
        "salt": hx(salt),
        "account_seed": hx(account),
        "device_seed": hx(device),
        "manifest": hx(&manifest),
        "group": hx(group),
        "history": hx(history),
        "content": hx(&content),
        "key": hx(&wide[..32]),
        "nonce": hx(&wide[32..56]),
        "commitment": hx(&wide[56..]),
        "backup": hx(&backup),
    }]);
    let file = check("backup.json", "A backup of a device that holds its account's key.", &vectors);
    let vector = &file[0];
    let key = BackupKey::from_bytes(array(&vector["backup_key"]));
    let groups = [GroupId::from_bytes(array(&vector["group"]))];
    let made = alice.back_up(&groups, &bytes(&vector["history"]), &key, &mut Script::new(&[&salt]));
    assert_eq!(made, Ok(bytes(&vector["backup"])));
    let mut rng = crate::support::SeedRng::new(1);
    let restored = Device::restore(&bytes(&vector["backup"]), &key, now, &mut rng).map_err(|e| e.to_string());
    let restored = restored.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((restored.device.account(), restored.device.id()), (alice.account(), alice.id()));
    assert_eq!((restored.groups, restored.history), (groups.to_vec(), bytes(&vector["history"])));
}
