//! An end that waits: no more is read once the input ends or a stop is asked for, and the session ends when
//! the last call that came in has its answer.

use std::collections::HashSet;

use rmcp::RoleServer;
use rmcp::model::{ClientNotification, ClientRequest, JsonRpcMessage, RequestId};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::watch;

pub(super) struct Draining<T> {
    inner: T,
    stop: watch::Receiver<bool>,
    ended: bool,
    /// Calls without an answer.
    open: watch::Sender<HashSet<RequestId>>,
}

impl<T> Draining<T> {
    /// `stop` becomes true when no more is to be read.
    pub(super) fn new(inner: T, stop: watch::Receiver<bool>) -> Self {
        Self {
            inner,
            stop,
            ended: false,
            open: watch::channel(HashSet::new()).0,
        }
    }

    fn note(&self, message: &RxJsonRpcMessage<RoleServer>) {
        match message {
            JsonRpcMessage::Request(request)
                if matches!(request.request, ClientRequest::CallToolRequest(_)) =>
            {
                self.open.send_modify(|open| {
                    open.insert(request.id.clone());
                });
            }
            JsonRpcMessage::Notification(notification) => {
                // Nobody will answer it.
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.open.send_modify(|open| {
                        open.remove(id);
                    });
                }
            }
            _ => {}
        }
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for Draining<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let answered = match &item {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        let open = self.open.clone();
        let sending = self.inner.send(item);
        async move {
            let sent = sending.await;
            if let Some(id) = answered {
                open.send_modify(|open| {
                    open.remove(&id);
                });
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        if !self.ended {
            let message = tokio::select! {
                message = self.inner.receive() => message,
                _ = self.stop.wait_for(|stop| *stop) => None,
            };
            match message {
                Some(message) => {
                    self.note(&message);
                    return Some(message);
                }
                None => self.ended = true,
            }
        }
        // Dropped and begun again whenever an answer goes out: it keeps nothing.
        let _ = self.open.subscribe().wait_for(HashSet::is_empty).await;
        None
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}
