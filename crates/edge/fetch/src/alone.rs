//! Work on a thread and a runtime of its own, under the caller's clock.
//!
//! A hostile server can keep the HTTP library busy: interim answers without end are read a whole buffer at a time, without
//! rest, and tokio's other workers do not look after timers and sockets meanwhile. So nobody else's are there. It costs a
//! thread per request, of which there are at most [`MAX_AT_ONCE`].
//!
//! Deliberately absent: a queue. One who waits for a place does not know for how long.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    runtime::Builder,
    sync::{Semaphore, oneshot},
    time::timeout,
};

/// The most requests at once: each holds a thread and up to a body in memory, and a node has other things to do.
pub const MAX_AT_ONCE: usize = 32;

/// Why there is no outcome of the work.
#[derive(Debug)]
pub(crate) enum NoOutcome {
    /// All places are taken: it was not begun.
    Busy,
    /// No thread or runtime could be had: it was not begun.
    NotBegun,
    /// It takes too long, and is ended as soon as it rests.
    TooLong,
    /// It panicked.
    Lost,
}

/// Places to work in.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Places {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_AT_ONCE)))
    }

    /// Does the work elsewhere, for `most` at the longest. If the caller goes away, the work ends as soon as it rests.
    pub(crate) async fn alone<T, W>(&self, most: Duration, work: W) -> Result<T, NoOutcome>
    where
        T: Send + 'static,
        W: Future<Output = T> + Send + 'static,
    {
        let place = Arc::clone(&self.0).try_acquire_owned().map_err(|_| NoOutcome::Busy)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| NoOutcome::NotBegun)?;
        let (mut teller, told) = oneshot::channel();
        let body = move || {
            let outcome = runtime.block_on(async {
                tokio::select! {
                    outcome = work => Some(outcome),
                    () = teller.closed() => None,
                }
            });
            if let Some(outcome) = outcome {
                // Whoever asked may have gone in this moment.
                let _ = teller.send(outcome);
            }
            // A name may still be looked up, which cannot be ended; nobody waits for it.
            runtime.shutdown_background();
            drop(place);
        };
        std::thread::Builder::new().name("fetch".to_owned()).spawn(body).map_err(|_| NoOutcome::NotBegun)?;
        match timeout(most, told).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(NoOutcome::Lost),
            Err(_) => Err(NoOutcome::TooLong),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::{MAX_AT_ONCE, NoOutcome, Places};

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn places_are_limited_and_come_free() {
        let places = Places::new();
        let mut held = Vec::new();
        for _ in 0..MAX_AT_ONCE {
            let (begun, has_begun) = oneshot::channel();
            let (end, ended) = oneshot::channel::<()>();
            let places = places.clone();
            let task = tokio::spawn(async move {
                let work = async move {
                    begun.send(()).unwrap();
                    let _ = ended.await;
                };
                places.alone(LONG, work).await
            });
            has_begun.await.unwrap();
            held.push((task, end));
        }
        assert!(matches!(places.alone(LONG, async {}).await, Err(NoOutcome::Busy)));
        for (task, end) in held {
            end.send(()).unwrap();
            task.await.unwrap().unwrap();
        }
        // All of them: none was lost on the way. A place comes free a moment after its outcome.
        let all = places.0.acquire_many(u32::try_from(MAX_AT_ONCE).unwrap()).await.unwrap();
        drop(all);
        assert_eq!(places.alone(LONG, async { 7 }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn who_goes_away_or_panics_leaves_no_work_behind() {
        let places = Places::new();
        let never = std::future::pending::<()>;
        assert!(matches!(places.alone(Duration::from_millis(10), never()).await, Err(NoOutcome::TooLong)));
        assert!(matches!(places.alone(LONG, async { panic!("on purpose") }).await, Err::<(), _>(NoOutcome::Lost)));
        let (begun, has_begun) = oneshot::channel();
        let work = async move {
            begun.send(()).unwrap();
            never().await;
        };
        tokio::select! {
            biased;
            _ = places.alone(LONG, work) => unreachable!("it never ends"),
            _ = has_begun => {}
        }
        let _all = places.0.acquire_many(u32::try_from(MAX_AT_ONCE).unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn work_that_does_not_rest_does_not_hold_up_the_caller() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let busy = async move {
            let _ = ended.recv();
        };
        let outcome = Places::new().alone(Duration::from_millis(10), busy).await;
        assert!(matches!(outcome, Err(NoOutcome::TooLong)));
        drop(end);
    }
}
