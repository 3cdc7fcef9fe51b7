//! Group messages: chain step, message keys, nonce, digest, signature, link, bytes.

use crate::aead;
use crate::group::digest::{Binding, LABEL, link_of};
use crate::group::message_keys::MessageKeys;
use crate::kdf;
use crate::padding;
use crate::ratchet::Chain;
use crate::secret::Secret;
use crate::vectors::second::{self, hash, public, sign};
use crate::vectors::{array, bytes, check, hx, seed};
use conclave_wire::ids::{CertificateHash, CommitHash, Epoch, Generation, GroupId, LeafIndex, MessageIndex};
use conclave_wire::message::{self, Header, MessageView};
use conclave_wire::signature::{self, SigningKey};
use serde_json::{Value, json};

/// One message on a chain key; returns the next chain key and the next link beside it.
fn message(index: u16, chain_key: &[u8], link: &[u8], content: &[u8]) -> (Vec<u8>, Vec<u8>, Value) {
    let (epoch, leaf, generation) = (3_u32, 5_u32, 1_u32);
    let (group, head, certificate) = (seed("group"), seed("head"), seed("certificate hash"));
    let id = &seed(&format!("message id {index}"))[..16];
    let hedge = &seed(&format!("hedge {index}"))[..8];
    let step = second::kdf("chain", &[chain_key], 64);
    let (message_key, next) = step.split_at(32);
    let keys = second::kdf("message", &[message_key], 88);
    let (key, commitment, base) = (&keys[..32], &keys[32..64], &keys[64..]);
    let mut nonce = base.to_vec();
    for (byte, hedge) in nonce[16..].iter_mut().zip(hedge) {
        *byte ^= hedge;
    }
    let plaintext = [id, content].concat();
    let padded = second::pad(&plaintext);
    let ciphertext = second::seal(key, &nonce, &[], &padded);
    let header = [
        &[1, 0][..],
        &epoch.to_be_bytes(),
        &leaf.to_be_bytes(),
        &generation.to_be_bytes(),
        &index.to_be_bytes(),
    ]
    .concat();
    let digest =
        hash("group message", &[&header, &group, &head, &certificate, commitment, link, hedge, &ciphertext]);
    let signature = sign(&seed("alice signing key"), "group message", &digest);
    let wire = [&header[..], link, hedge, &ciphertext, &signature].concat();
    let value = json!({
        "signing_seed": hx(seed("alice signing key")),
        "signing_key": hx(public(&seed("alice signing key"))),
        "group": hx(group),
        "head": hx(head),
        "certificate_hash": hx(certificate),
        "epoch": epoch,
        "leaf": leaf,
        "generation": generation,
        "index": index,
        "header": hx(&header),
        "chain_key": hx(chain_key),
        "message_key": hx(message_key),
        "next_chain_key": hx(next),
        "key": hx(key),
        "key_commitment": hx(commitment),
        "nonce_base": hx(base),
        "hedge": hx(hedge),
        "nonce": hx(&nonce),
        "message_id": hx(id),
        "content": hx(content),
        "padded": hx(&padded),
        "ciphertext": hx(&ciphertext),
        "link": hx(link),
        "digest": hx(digest),
        "signature": hx(signature),
        "next_link": hx(&digest[..16]),
        "message": hx(&wire),
    });
    (next.to_vec(), digest[..16].to_vec(), value)
}

#[test]
fn messages_on_one_chain() {
    let first_link = &seed("certificate hash")[..16];
    let (chain, link, first) = message(0, &seed("alice chain key"), first_link, b"hello");
    let (chain, link, second) = message(1, &chain, &link, &[0x61; 100]);
    let (_, _, third) = message(2, &chain, &link, &[0x62]);
    let comment = "Three messages of one sender, the first of its certificate; each links to the one before.";
    let file = check("message.json", comment, &json!([first, second, third]));
    for vector in file.as_array().unwrap() {
        let wire = bytes(&vector["message"]);
        let view = MessageView::parse(&wire).unwrap();
        let number = |name: &str| u32::try_from(vector[name].as_u64().unwrap()).unwrap();
        let header = Header {
            epoch: Epoch(number("epoch")),
            leaf: LeafIndex(number("leaf")),
            generation: Generation(number("generation")),
            index: MessageIndex(u16::try_from(number("index")).unwrap()),
        };
        assert_eq!((view.header, header.encode().to_vec()), (header, bytes(&vector["header"])));
        assert_eq!(
            (view.link.to_vec(), view.hedge.to_vec()),
            (bytes(&vector["link"]), bytes(&vector["hedge"]))
        );
        assert_eq!(view.ciphertext, bytes(&vector["ciphertext"]));
        assert_eq!(view.signature.as_bytes(), &array(&vector["signature"]));
        // The engine's keys.
        let chain = Chain::new(Secret::from_bytes(array(&vector["chain_key"])), header.index);
        let (message_key, next) = chain.peek(&kdf::CHAIN).unwrap();
        assert_eq!(message_key.0.as_bytes(), &array(&vector["message_key"]));
        assert_eq!(next.key().as_bytes(), &array(&vector["next_chain_key"]));
        assert_eq!(next.index(), MessageIndex(header.index.0 + 1));
        let keys = MessageKeys::derive(&message_key);
        assert_eq!(keys.key.as_bytes(), &array(&vector["key"]));
        assert_eq!(keys.commitment, array(&vector["key_commitment"]));
        assert_eq!(keys.nonce(&[0; 8]), array(&vector["nonce_base"]));
        assert_eq!(keys.nonce(view.hedge), array(&vector["nonce"]));
        // Digest, signature and link.
        let binding = Binding {
            group: GroupId::from_bytes(array(&vector["group"])),
            head: CommitHash::from_bytes(array(&vector["head"])),
            certificate: CertificateHash::from_bytes(array(&vector["certificate_hash"])),
        };
        let digest = binding.digest(&header, view.link, view.hedge, &keys.commitment, view.ciphertext);
        assert_eq!(digest, array(&vector["digest"]));
        assert_eq!(
            signature::verify(&array(&vector["signing_key"]), LABEL, &digest, &view.signature),
            Ok(())
        );
        assert_eq!(link_of(&digest).to_vec(), bytes(&vector["next_link"]));
        // The plaintext, both ways.
        let padded = aead::open(&keys.key, &keys.nonce(view.hedge), &[], view.ciphertext).unwrap();
        assert_eq!(*padded, bytes(&vector["padded"]));
        let plaintext = [bytes(&vector["message_id"]), bytes(&vector["content"])].concat();
        assert_eq!(padding::unpad(&padded), Ok(plaintext.as_slice()));
        let sealed = aead::seal(&keys.key, &keys.nonce(view.hedge), &[], padded);
        let signing = SigningKey::from_bytes(&array(&vector["signing_seed"]));
        let signature = signature::sign(&signing, LABEL, &digest);
        assert_eq!(message::assemble(&header, view.link, view.hedge, &sealed, &signature), wire);
    }
}
