//! More connections than there are files for.

use crate::client::{Client, post};
use crate::command::Process;
use crate::people::Person;
use conclave_wire::reply::Reply;
use std::net::TcpStream;

/// Files of the server; it keeps half of them.
const FILES: u32 = 160;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_takes_no_file_from_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::with_few_files(dir.path(), FILES);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Person::new);
    let mut a = Client::registered(&server.url, &alice).await;
    let mut b = Client::registered(&server.url, &bob).await;
    let mut room = a.genesis(&alice, 1).await;
    let add = room.commit(&alice, vec![bob.add()]);
    a.commit(&mut room, add, 0, &[&bob]).await;
    b.subscribe(&[(room.id(), 2)]).await;

    let address = server.url.strip_prefix("ws://").unwrap();
    let crowd: Vec<TcpStream> = (0..FILES * 2).map(|_| TcpStream::connect(address).unwrap()).collect();
    let open =
        |server: &Process| std::fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap().count();
    // Whoever is there is served, and what they say is kept.
    let mut most = 0;
    for number in 0..200 {
        let text = format!("message {number}");
        assert!(matches!(a.ask(post(&room, &alice, &text)).await, Reply::Accepted { .. }));
        b.push().await;
        most = most.max(open(&server));
    }
    assert!(most > FILES as usize / 2, "there was no crowd: {most} files");
    assert!(most < FILES as usize - 20, "{most} files of {FILES} were open");

    // Once it has gone, others come.
    drop(crowd);
    let mut c = Client::registered(&server.url, &carol).await;
    assert_eq!(c.groups().await.len(), 0);
}
