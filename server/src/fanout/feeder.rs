//! Feeds a connection that is behind from the log, page by page, as fast as its socket takes them.

use super::connection::{Connection, End};
use super::frame;
use super::hub::Hub;
use super::registry::{Fed, Member, Verdict, Want};
use crate::limits::{GROUPS_PER_FEED, OUTBOX_LOW, PAGE_ENTRIES};
use crate::service::Service;
use crate::store::{PageBounds, Range, StoreError};
use actix_http::ws::CloseCode;
use bytes::Bytes;
use conclave_wire::ids::{DeviceId, Seq};
use std::rc::Rc;

/// Starts feeding a connection, unless it is being fed.
pub(super) fn start(hub: &Rc<Hub>, connection: &Rc<Connection>) {
    if !connection.feeding.replace(true) {
        actix_rt::spawn(feed(hub.clone(), connection.clone()));
    }
}

async fn feed(hub: Rc<Hub>, connection: Rc<Connection>) {
    while connection.may_be_fed().await.is_ok() {
        let wants = take_wants(&hub, &connection);
        if wants.is_empty() {
            break;
        }
        let (service, device) = (hub.service.clone(), connection.device());
        let read = actix_rt::task::spawn_blocking(move || read(&service, &device, wants)).await;
        let Ok(Ok(meals)) = read else {
            tracing::error!("cannot read the log for a subscriber");
            connection.end(End::Close(CloseCode::Error, "the server cannot read its store"));
            break;
        };
        for meal in meals {
            serve(&hub, &connection, meal);
        }
        hub.work();
    }
    connection.feeding.set(false);
}

/// What the connection is behind in, some of it.
fn take_wants(hub: &Hub, connection: &Connection) -> Vec<Want> {
    let mut behind = connection.behind.borrow_mut();
    let mut wants = Vec::new();
    while wants.len() < GROUPS_PER_FEED {
        let Some(group) = behind.pop_front() else { break };
        let place = Hub::place(connection, &group);
        wants.extend(place.and_then(|place| hub.registry(|registry| registry.want(&group, place))));
    }
    wants
}

/// What was read for one want; `None` if there was no room for it.
struct Meal {
    want: Want,
    read: Option<(Vec<Bytes>, Fed)>,
}

/// Reads for each want until there is enough to write.
fn read(service: &Service, device: &DeviceId, wants: Vec<Want>) -> Result<Vec<Meal>, StoreError> {
    let mut room = OUTBOX_LOW;
    let mut meals = Vec::with_capacity(wants.len());
    for want in wants {
        if room == 0 {
            meals.push(Meal { want, read: None });
            continue;
        }
        let after = Range::After(Seq(want.next.0.saturating_sub(1)));
        let bounds = PageBounds { entries: PAGE_ENTRIES, bytes: room };
        let page = service.store.read(device, &want.group, after, bounds)?;
        let read = match page {
            // Was a member when it subscribed, and is not any more as far as the store knows: nothing will come.
            None => (Vec::new(), Fed { next: want.next, complete: true, left: true }),
            Some(page) => {
                let last = page.entries.last().map(|entry| entry.seq.0);
                let next = last.map_or(want.next, |seq| Seq(seq.saturating_add(1)));
                let fed = Fed { next, complete: page.complete, left: page.membership.left.is_some() };
                let frames: Vec<_> = page.entries.into_iter().map(frame::push).collect();
                (frames, fed)
            }
        };
        room = room.saturating_sub(read.0.iter().map(Bytes::len).sum());
        meals.push(Meal { want, read: Some(read) });
    }
    Ok(meals)
}

fn serve(hub: &Hub, connection: &Rc<Connection>, meal: Meal) {
    let Meal { want, read } = meal;
    let verdict = match &read {
        Some((_, fed)) => hub.registry(|registry| registry.fed(&want, *fed)),
        None => Verdict::Again,
    };
    match (verdict, read) {
        (Verdict::Live | Verdict::More | Verdict::Ended, Some((frames, _))) => {
            frames.into_iter().for_each(|frame| connection.push(frame));
        }
        (Verdict::Gone, _) | (_, None) | (Verdict::Again, _) => {}
    }
    match verdict {
        Verdict::More | Verdict::Again => connection.behind.borrow_mut().push_back(want.group),
        Verdict::Ended => drop(connection.subscriptions.borrow_mut().remove(&want.group)),
        Verdict::Live | Verdict::Gone => {}
    }
}
