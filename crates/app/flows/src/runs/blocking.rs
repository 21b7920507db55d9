//! Work that waits for the disk or for a process.

use steward_app_node::Error;

/// Runs it on a thread for such.
///
/// # Errors
/// It panicked.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::broken)
}
