//! The writing thread: group commit.

use super::super::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// Jobs that wait for the disk. When the queue is full, callers wait: an upload is acknowledged later, never lost.
const QUEUE: usize = 1024;
/// Jobs that share one sync at most, so that the first does not wait for ever.
const BATCH: usize = 512;

type Answering = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Runs within the transaction; says whether it worked, and how to answer once the transaction's fate is known.
type Job = Box<dyn FnOnce(&Connection) -> (bool, Answering) + Send>;

#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> (Self, oneshot::Receiver<()>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                run(&connection, queue);
                drop(connection);
                // Nobody listens any more when the program is ending; that is fine.
                let _ = ended.send(());
            })
            .expect("the operating system starts a thread");
        (Self { jobs }, end)
    }

    /// Runs one job in the next transaction and returns once it is on disk.
    pub(super) async fn write<T, F>(&self, action: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome = work(connection).map_err(|source| StoreError::Operation { action, source });
            let worked = outcome.is_ok();
            let finish: Answering = Box::new(move |committed| {
                // A caller that went away does not need the answer.
                let _ = answer.send(outcome.and_then(|value| committed.map(|()| value)));
            });
            (worked, finish)
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

fn run(connection: &Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            batch.push(job);
        }
        commit(connection, batch);
    }
}

fn commit(connection: &Connection, batch: Vec<Job>) {
    let mut answers = Vec::with_capacity(batch.len());
    let outcome = transact(connection, batch, &mut answers).map_err(|error| error.to_string());
    if let Err(reason) = &outcome {
        tracing::error!(reason, "the store cannot commit; is the disk full or read-only?");
        // After a failed commit SQLite may have rolled back by itself.
        let _ = connection.execute_batch("ROLLBACK");
    }
    for answer in answers {
        answer(outcome.clone().map_err(StoreError::Commit));
    }
}

fn transact(connection: &Connection, batch: Vec<Job>, answers: &mut Vec<Answering>) -> rusqlite::Result<()> {
    let mut begun = connection.execute_batch("BEGIN IMMEDIATE");
    for job in batch {
        if begun.is_ok() {
            begun = connection.execute_batch("SAVEPOINT job");
        }
        let (worked, answer) = job(connection);
        answers.push(answer);
        if begun.is_ok() {
            let end = if worked { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
            begun = connection.execute_batch(end);
        }
    }
    begun?;
    connection.execute_batch("COMMIT")
}
