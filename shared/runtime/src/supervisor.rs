//! Long-lived services, stopped together and in order.

use std::future::Future;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Runs named services until one of them fails or the program is asked to stop, then stops all of them.
///
/// A service that panics or returns an error ends the whole program in order: what the others hold is
/// flushed within the grace period, and the program exits with an error.
#[derive(Debug, Default)]
pub struct Supervisor {
    services: JoinSet<(&'static str, Result<(), String>)>,
    stop: CancellationToken,
}

impl Supervisor {
    /// Makes a supervisor without services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the token that asks services to stop.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a service. It ends when its token (see [`Self::stop_token`]) is cancelled.
    pub fn start<F, E>(&mut self, name: &'static str, service: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.services.spawn(async move { (name, service.await.map_err(|e| format!("{e:#}"))) });
    }

    /// Waits for SIGINT, SIGTERM or the first service that fails, then stops all services.
    ///
    /// # Errors
    /// Names the first service that failed, or that did not stop within `grace`.
    pub async fn run(mut self, grace: Duration) -> Result<(), String> {
        let mut first_error = None;
        let signal = stop_signal();
        tokio::pin!(signal);
        loop {
            tokio::select! {
                () = &mut signal => break,
                () = self.stop.cancelled() => break,
                ended = self.services.join_next() => match ended {
                    None => break,
                    Some(ended) => if let Err(error) = outcome(ended) {
                        first_error = Some(error);
                        break;
                    },
                },
            }
        }
        self.stop.cancel();
        let drained = tokio::time::timeout(grace, async {
            while let Some(ended) = self.services.join_next().await {
                if let Err(error) = outcome(ended) {
                    first_error.get_or_insert(error);
                }
            }
        });
        if drained.await.is_err() {
            first_error.get_or_insert_with(|| format!("a service did not stop within {grace:?}"));
        }
        first_error.map_or(Ok(()), Err)
    }
}

type Ended = Result<(&'static str, Result<(), String>), tokio::task::JoinError>;

fn outcome(ended: Ended) -> Result<(), String> {
    match ended {
        Ok((_, Ok(()))) => Ok(()),
        Ok((name, Err(error))) => Err(format!("{name}: {error}")),
        Err(error) if error.is_panic() => Err("a service panicked".to_owned()),
        Err(_) => Ok(()),
    }
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the default action ends the process, which is what was asked for.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_failing_service_stops_the_others_and_is_named() {
        let mut supervisor = Supervisor::new();
        let stop = supervisor.stop_token();
        supervisor.start("patient", async move {
            stop.cancelled().await;
            Ok::<_, String>(())
        });
        supervisor.start("broken", async { Err("no disk".to_owned()) });
        assert_eq!(supervisor.run(Duration::from_secs(5)).await, Err("broken: no disk".to_owned()));
    }

    #[tokio::test]
    async fn a_panic_anywhere_stops_the_program_in_order() {
        let mut supervisor = Supervisor::new();
        supervisor.start("faulty", async {
            assert_eq!(1, 2, "an invariant broke");
            Ok::<_, String>(())
        });
        assert_eq!(supervisor.run(Duration::from_secs(5)).await, Err("a service panicked".to_owned()));
    }
}
