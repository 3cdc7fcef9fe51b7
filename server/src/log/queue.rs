//! The way to the log writer: one queue, bounded in bytes.

use crate::fanout::Asker;
use crate::limits::{LOG_QUEUE_BYTES, LOG_QUEUE_PATIENCE, PART_ROW_OVERHEAD, RETRY_AFTER, WRITE_OVERHEAD};
use crate::rates::at_limit;
use crate::store::Write;
use conclave_wire::reply::{Refusal, Reply};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Semaphore, oneshot};

/// Who hears what became of a write.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The connection, through its hub: it has gone on to other requests meanwhile.
    Through(Asker),
    /// Somebody who waits.
    To(oneshot::Sender<Reply>),
}

/// What the writer is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// Store this, and tell what became of it.
    Write {
        /// What.
        write: Write,
        /// Whom to tell.
        answer: Answer,
        /// What it takes of the queue's room.
        cost: u32,
    },
    /// Says when everything before it is done.
    Flush(oneshot::Sender<()>),
}

/// The queue to the writer, bounded in bytes.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue {
    orders: Sender<Order>,
    room: Arc<Semaphore>,
}

/// How full the queue is, for those who only look.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    /// Bytes that wait.
    pub(crate) fn taken(&self) -> usize {
        LOG_QUEUE_BYTES.saturating_sub(self.0.available_permits())
    }
}

impl LogQueue {
    /// A queue with its other end, and the room that is to be given back for what is done.
    pub(super) fn new() -> (Self, Receiver<Order>, Arc<Semaphore>) {
        let (orders, queue) = mpsc::channel();
        let room = Arc::new(Semaphore::new(LOG_QUEUE_BYTES));
        (Self { orders, room: room.clone() }, queue, room)
    }

    /// How full it is.
    pub(crate) fn room(&self) -> Room {
        Room(self.room.clone())
    }

    /// Queues a write, waiting a while for room. A refusal to queue it is returned and does not go to `answer`.
    pub(crate) async fn submit(&self, write: Write, answer: Answer) -> Result<(), Refusal> {
        let cost = cost(&write);
        match self.room.try_acquire_many(cost) {
            Ok(permit) => permit.forget(),
            Err(_) => Box::pin(self.wait_for_room(cost)).await?,
        }
        // The writer runs as long as there is a queue; were it gone, the answer would be dropped, and heard as that.
        let _ = self.orders.send(Order::Write { write, answer, cost });
        Ok(())
    }

    /// Queues a write and waits for what becomes of it.
    pub(crate) async fn write(&self, write: Write) -> Reply {
        let (answer, reply) = oneshot::channel();
        match self.submit(write, Answer::To(answer)).await {
            Ok(()) => reply.await.unwrap_or(Reply::Refused { refusal: Refusal::Unavailable }),
            Err(refusal) => Reply::Refused { refusal },
        }
    }

    /// Waits until everything queued so far is stored and answered.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.orders.send(Order::Flush(done)).is_ok() {
            let _ = flushed.await;
        }
    }

    async fn wait_for_room(&self, cost: u32) -> Result<(), Refusal> {
        let room = tokio::time::timeout(LOG_QUEUE_PATIENCE, self.room.acquire_many(cost));
        let Ok(Ok(permit)) = room.await else {
            return Err(at_limit("writes waiting for the disk", RETRY_AFTER));
        };
        permit.forget();
        Ok(())
    }
}

/// In bytes, about.
fn cost(write: &Write) -> u32 {
    let bytes = match write {
        Write::Append(append) => {
            let deliveries = append.deliveries.iter().map(|(_, delivery)| delivery.len() + WRITE_OVERHEAD);
            append.body.len() + deliveries.sum::<usize>()
        }
        Write::Register(registration) => registration.manifest.0.len() + registration.prekeys.0.len(),
        Write::PublishPrekeys { prekeys, .. } => prekeys.0.len(),
        Write::StagePart(part) => {
            part.deliveries.iter().map(|(_, delivery)| delivery.len() + PART_ROW_OVERHEAD).sum()
        }
        Write::PublishOneTime { prekeys, .. } => prekeys.len() * PART_ROW_OVERHEAD,
        Write::TakeOneTime(devices) => devices.len() * PART_ROW_OVERHEAD,
        Write::KeepLetter(letter) => letter.body.len(),
        Write::Acknowledge { .. }
        | Write::ForgetUploads { .. }
        | Write::ForgetLetters { .. }
        | Write::TrimLogs { .. }
        | Write::SweepMailboxes { .. } => 0,
    };
    u32::try_from((bytes + WRITE_OVERHEAD).min(LOG_QUEUE_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conclave_wire::ids::{DeviceId, GroupId, Seq};
    use conclave_wire::request::Cursor;

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_and_recovers() {
        let (orders, queue) = mpsc::channel();
        let log = LogQueue { orders, room: Arc::new(Semaphore::new(3 * WRITE_OVERHEAD)) };
        let write = || Write::Acknowledge {
            device: DeviceId::from_bytes([1; 32]),
            cursor: Cursor { group: GroupId::from_bytes([1; 32]), seq: Seq(1) },
        };
        for _ in 0..3 {
            log.submit(write(), Answer::To(oneshot::channel().0)).await.unwrap();
        }
        let refused = log.submit(write(), Answer::To(oneshot::channel().0)).await.unwrap_err();
        assert!(matches!(refused, Refusal::RateLimited { .. }));
        assert_eq!(queue.try_iter().count(), 3);
        log.room.add_permits(WRITE_OVERHEAD);
        log.submit(write(), Answer::To(oneshot::channel().0)).await.unwrap();
    }
}
