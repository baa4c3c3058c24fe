//! A client of the demo: the official Rust SDK's, under a name of its own.
//!
//! Runs on the demo's runtime. Every answer is good for something here, a refusal too: what comes back is counted, and
//! only a connection that breaks is an error.

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, GetPromptRequestParams, Implementation, JsonObject,
    ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt};
use std::time::Duration;

/// How long a client waits for a tool. Longer than the demo's proxy does twice: once for the answer, and once on the stream
/// that the client resumes when the proxy has cut it off.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which revision of the protocol a client begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// `initialize`, a session, `DELETE`.
    Sessions,
    /// 2026-07-28: no handshake, no session; every request says who sends it.
    Sessionless,
}

/// A connected client.
pub(super) struct Client {
    service: RunningService<RoleClient, ClientConfig>,
    /// Requests sent, and those of them that failed in whatever way.
    pub(super) sent: u32,
    pub(super) failed: u32,
}

impl Client {
    /// Connects to the server at `url` under a name.
    pub(super) async fn connect(url: &str, name: &str, version: &str, era: Era) -> Result<Self, String> {
        let config = StreamableHttpClientTransportConfig::with_uri(url.to_owned());
        let transport = StreamableHttpClientTransport::from_config(config);
        let identity = ClientConfig::new(ClientCapabilities::default(), Implementation::new(name, version));
        let (identity, lifecycle) = match era {
            Era::Sessions => {
                (identity.with_protocol_version(ProtocolVersion::V_2025_11_25), ClientLifecycleMode::Initialize)
            }
            Era::Sessionless => {
                let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
                (identity, ClientLifecycleMode::Discover { preferred_versions })
            }
        };
        let service = identity.serve_with_lifecycle(transport, lifecycle).await;
        let service = service.map_err(|error| format!("{name} could not connect: {error}"))?;
        Ok(Self { service, sent: 1, failed: 0 })
    }

    /// Asks for everything that the server offers, page by page.
    pub(super) async fn list_everything(&mut self) -> Result<(), String> {
        self.list_tools().await?;
        self.count(self.service.list_all_resources().await.map(|_| false))?;
        self.count(self.service.list_all_prompts().await.map(|_| false))
    }

    pub(super) async fn list_tools(&mut self) -> Result<(), String> {
        let mut cursor = None;
        loop {
            let page = Some(rmcp::model::PaginatedRequestParams::default().with_cursor(cursor));
            let page = self.service.list_tools(page).await;
            cursor = page.as_ref().ok().and_then(|page| page.next_cursor.clone());
            self.count(page.map(|_| false))?;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    pub(super) async fn call(&mut self, tool: &'static str, arguments: &[(&str, &str)]) -> Result<(), String> {
        let arguments: JsonObject =
            arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let call = self.service.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments));
        let result = match tokio::time::timeout(PATIENCE, call).await {
            Ok(result) => result,
            Err(_) => Err(ServiceError::Timeout { timeout: PATIENCE }),
        };
        self.count(result.map(|result| result.is_error == Some(true)))
    }

    pub(super) async fn read(&mut self, uri: &str) -> Result<(), String> {
        let result = self.service.read_resource(ReadResourceRequestParams::new(uri)).await;
        self.count(result.map(|_| false))
    }

    pub(super) async fn prompt(&mut self, name: &str) -> Result<(), String> {
        let result = self.service.get_prompt(GetPromptRequestParams::new(name)).await;
        self.count(result.map(|_| false))
    }

    /// Ends the session, as a client should: with a DELETE.
    pub(super) async fn close(self) {
        // A session that is gone already is closed, which is all that was wanted.
        let _ = self.service.cancel().await;
    }

    /// Counts an answer. An error from the server is one, and so is none in time; a broken connection is not.
    fn count(&mut self, failed: Result<bool, ServiceError>) -> Result<(), String> {
        self.sent += 1;
        match failed {
            Ok(failed) => self.failed += u32::from(failed),
            Err(ServiceError::McpError(_) | ServiceError::Timeout { .. }) => self.failed += 1,
            Err(error) => return Err(format!("a client lost its connection: {error}")),
        }
        Ok(())
    }
}
