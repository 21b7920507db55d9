//! What this node is to a server: a client that can nothing but call tools.
//!
//! ```text
//! Client::new(changed).serve_with_lifecycle(transport, lifecycle()).await
//! ```
//!
//! Deliberately absent: answers to what the server asks. Sampling would lend it the node's model, elicitation its people, and
//! roots its files.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use rmcp::{
    ErrorData, Peer, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, ClientResult, ErrorCode, Implementation, ProtocolVersion, ServerNotification,
        ServerRequest, SubscriptionFilter,
    },
    service::{ClientLifecycleMode, NotificationContext, RequestContext, Service, SubscriptionEnd},
};

/// Whether the server said that its tools have changed.
pub(crate) type Changed = Arc<AtomicBool>;

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    changed: Changed,
}

impl Client {
    pub(crate) fn new(changed: Changed) -> Self {
        Self { changed }
    }
}

/// The newest revision first, by `server/discover`; a server may answer that it has only the one before. Who does not know the
/// question is greeted in the older way, and may choose any older revision.
pub(crate) fn lifecycle() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::LATEST, ProtocolVersion::LATEST_WITH_INITIALIZE],
        legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
    }
}

impl Service<RoleClient> for Client {
    async fn handle_request(
        &self,
        request: ServerRequest,
        _: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        match request {
            ServerRequest::PingRequest(_) => Ok(ClientResult::empty(())),
            _ => Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "this client answers no requests", None)),
        }
    }

    async fn handle_notification(
        &self,
        notification: ServerNotification,
        _: NotificationContext<RoleClient>,
    ) -> Result<(), ErrorData> {
        if matches!(notification, ServerNotification::ToolListChangedNotification(_)) {
            self.changed.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("steward", env!("CARGO_PKG_VERSION")))
    }
}

/// Listens whether the tools change, where the revision wants that to be asked for (2026-07-28). Ends with the connection.
pub(crate) async fn listen(peer: Peer<RoleClient>, changed: Changed) {
    loop {
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let Ok(mut subscription) = peer.listen(filter).await else { return };
        while let Ok(Some(_)) = subscription.next().await {
            changed.store(true, Ordering::Release);
        }
        // What would have come now is not known.
        changed.store(true, Ordering::Release);
        if !matches!(subscription.end(), Some(SubscriptionEnd::Lagged { .. })) {
            return;
        }
    }
}
