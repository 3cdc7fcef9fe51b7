//! A run: the digests that build on each other, the one signature, bytes (R69) (R141).

use crate::aead;
use crate::group::digest::{Binding, RUN_LABEL, before_first, link_of};
use crate::group::message_id::MessageId;
use crate::group::message_keys::MessageKeys;
use crate::group::open_run;
use crate::kdf;
use crate::ratchet::Chain;
use crate::secret::Secret;
use crate::vectors::second::{self, hash, public, sign};
use crate::vectors::{array, bytes, check, hx, seed};
use conclave_wire::ids::{CertificateHash, CommitHash, Epoch, Generation, GroupId, LeafIndex, MessageIndex};
use conclave_wire::message::Header;
use conclave_wire::run::{RunView, assemble};
use conclave_wire::signature;
use serde_json::{Value, json};

/// A run of three on a chain that stands at index 7.
fn run() -> Value {
    let (epoch, leaf, generation, first) = (3_u32, 5_u32, 1_u32, 7_u16);
    let (group, head, certificate) = (seed("group"), seed("head"), seed("certificate hash"));
    let (link, hedge) = (&seed("link")[..16], &seed("hedge of a run")[..8]);
    let header = |index: u16| {
        let fields = [epoch.to_be_bytes(), leaf.to_be_bytes(), generation.to_be_bytes()].concat();
        [&[1, 1][..], &fields, &index.to_be_bytes()].concat()
    };
    let mut chain_key = seed("alice chain key").to_vec();
    let mut before = [link, &[0; 16]].concat();
    let (mut messages, mut on_the_wire) = (Vec::new(), Vec::new());
    for (index, content) in (first..).zip([&b"hello"[..], &[0x61; 100], &[0x62]]) {
        let id = &seed(&format!("message id {index}"))[..16];
        let step = second::kdf("chain", &[&chain_key], 64);
        let (message_key, next) = step.split_at(32);
        let keys = second::kdf("message", &[message_key], 88);
        let (key, commitment, base) = (&keys[..32], &keys[32..64], &keys[64..]);
        let mut nonce = base.to_vec();
        for (byte, hedge) in nonce[16..].iter_mut().zip(hedge) {
            *byte ^= hedge;
        }
        let padded = second::pad(&[id, content].concat());
        let ciphertext = second::seal(key, &nonce, &[], &padded);
        let digest = hash(
            "group message in a run",
            &[&header(index), &group, &head, &certificate, commitment, &before, hedge, &ciphertext],
        );
        messages.push(json!({
            "index": index,
            "header": hx(header(index)),
            "chain_key": hx(&chain_key),
            "message_key": hx(message_key),
            "next_chain_key": hx(next),
            "key": hx(key),
            "key_commitment": hx(commitment),
            "nonce": hx(&nonce),
            "message_id": hx(id),
            "content": hx(content),
            "padded": hx(&padded),
            "ciphertext": hx(&ciphertext),
            "before": hx(&before),
            "digest": hx(digest),
        }));
        on_the_wire.extend(u32::try_from(ciphertext.len()).unwrap().to_be_bytes());
        on_the_wire.extend(ciphertext);
        (chain_key, before) = (next.to_vec(), digest.to_vec());
    }
    let signature = sign(&seed("alice signing key"), "group message run", before[..].try_into().unwrap());
    json!({
        "signing_seed": hx(seed("alice signing key")),
        "signing_key": hx(public(&seed("alice signing key"))),
        "group": hx(group),
        "head": hx(head),
        "certificate_hash": hx(certificate),
        "epoch": epoch,
        "leaf": leaf,
        "generation": generation,
        "hedge": hx(hedge),
        "link": hx(link),
        "messages": messages,
        "signature": hx(signature),
        "next_link": hx(&before[..16]),
        "run": hx([&header(first)[..], link, hedge, &[0, 3], &on_the_wire, &signature].concat()),
    })
}

#[test]
fn a_run_of_three() {
    let comment =
        "A run of three messages: the one signature covers the last digest, and each digest the one before.";
    let file = check("run.json", comment, &json!([run()]));
    let vector = &file[0];
    let wire = bytes(&vector["run"]);
    let view = RunView::parse(&wire).unwrap();
    let number = |name: &str| u32::try_from(vector[name].as_u64().unwrap()).unwrap();
    let binding = Binding {
        group: GroupId::from_bytes(array(&vector["group"])),
        head: CommitHash::from_bytes(array(&vector["head"])),
        certificate: CertificateHash::from_bytes(array(&vector["certificate_hash"])),
    };
    assert_eq!(view.link.to_vec(), bytes(&vector["link"]));
    assert_eq!(view.hedge.to_vec(), bytes(&vector["hedge"]));
    assert_eq!(view.signature.as_bytes(), &array(&vector["signature"]));
    let stated = vector["messages"].as_array().unwrap();
    assert_eq!(usize::from(view.count()), stated.len());

    let (mut before, mut all_keys, mut contents) = (before_first(view.link), Vec::new(), Vec::new());
    for ((header, ciphertext), stated) in view.messages().zip(stated) {
        let index = MessageIndex(u16::try_from(stated["index"].as_u64().unwrap()).unwrap());
        let (epoch, leaf) = (Epoch(number("epoch")), LeafIndex(number("leaf")));
        assert_eq!(header, Header { epoch, leaf, generation: Generation(number("generation")), index });
        assert_eq!(header.encode_in_run().to_vec(), bytes(&stated["header"]));
        let chain = Chain::new(Secret::from_bytes(array(&stated["chain_key"])), index);
        let (message_key, next) = chain.peek(&kdf::CHAIN).unwrap();
        assert_eq!(message_key.0.as_bytes(), &array(&stated["message_key"]));
        assert_eq!(next.key().as_bytes(), &array(&stated["next_chain_key"]));
        let keys = MessageKeys::derive(&message_key);
        assert_eq!(keys.key.as_bytes(), &array(&stated["key"]));
        assert_eq!(keys.commitment, array(&stated["key_commitment"]));
        assert_eq!(keys.nonce(view.hedge), array(&stated["nonce"]));
        assert_eq!(before.to_vec(), bytes(&stated["before"]));
        before = binding.digest_in_run(&header, &before, view.hedge, &keys.commitment, ciphertext);
        assert_eq!(before, array(&stated["digest"]));
        let padded = aead::open(&keys.key, &keys.nonce(view.hedge), &[], ciphertext).unwrap();
        assert_eq!(*padded, bytes(&stated["padded"]));
        // Sealed where it lies, it is the same.
        let id = MessageId::from_bytes(array(&stated["message_id"]));
        let mut sealed = Vec::with_capacity(ciphertext.len());
        keys.seal_onto(&mut sealed, view.hedge, &id, &bytes(&stated["content"]));
        assert_eq!((&sealed[..], bytes(&stated["ciphertext"])), (ciphertext, ciphertext.to_vec()));
        contents.push((id, bytes(&stated["content"])));
        all_keys.push(keys);
    }
    let commitments: Vec<_> = all_keys.iter().map(|keys| keys.commitment).collect();
    assert_eq!(open_run::digest(&binding, &view, &commitments), before);
    assert_eq!(open_run::decrypt(&view, &all_keys), Some(contents));
    assert_eq!(
        signature::verify(&array(&vector["signing_key"]), RUN_LABEL, &before, &view.signature),
        Ok(())
    );
    assert_eq!(link_of(&before).to_vec(), bytes(&vector["next_link"]));
    let ciphertexts: Vec<_> = view.messages().map(|(_, ciphertext)| ciphertext).collect();
    assert_eq!(assemble(&view.header, view.link, view.hedge, &ciphertexts, &view.signature), wire);
}
