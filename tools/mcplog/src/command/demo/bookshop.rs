//! The demo's MCP server: a bookshop with tools that succeed, fail and dawdle, on the official Rust SDK.
//!
//! Runs on the demo's runtime. It knows nothing of the proxy in front of it.

use axum::serve::ListenerExt;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, Implementation, JsonObject, ListPromptsResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, Prompt, PromptArgument, PromptMessage, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult, Resource, ResourceContents, Role, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler};
use serde_json::json;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// So few tools on a page that clients have to ask twice.
const TOOLS_PER_PAGE: usize = 4;
/// Longer than the demo's proxy waits.
pub(super) const STOCK_REPORT: Duration = Duration::from_secs(20);

/// A running bookshop.
pub(super) struct Bookshop {
    address: SocketAddr,
    updated: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Bookshop {
    /// Opens on any free loopback port.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        // Without this, an event stream's second packet waits 40 ms for the acknowledgement of the first.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let (updated, stop) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let clerk = Clerk { updated: Arc::clone(&updated), calls: Arc::default() };
        let config = StreamableHttpServerConfig::default().with_cancellation_token(stop.child_token());
        let service =
            StreamableHttpService::new(move || Ok(clerk.clone()), Arc::<LocalSessionManager>::default(), config);
        let router = axum::Router::new().nest_service("/mcp", service);
        let until = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(until).await });
        Ok(Self { address, updated, stop })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// A new release goes live: one tool comes, one goes, one takes another argument.
    pub(super) fn update(&self) {
        self.updated.store(true, Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

/// Serves everybody.
#[derive(Clone)]
struct Clerk {
    updated: Arc<AtomicBool>,
    /// How many tool calls there were: it varies how long they take, the same way in every demo.
    calls: Arc<AtomicU64>,
}

impl Clerk {
    fn tools(&self) -> Vec<Tool> {
        let updated = self.updated.load(Ordering::Relaxed);
        let search = if updated { vec!["query", "language"] } else { vec!["query"] };
        let mut tools = vec![
            tool("search_books", "Search the catalogue", &search),
            tool("get_book", "One book, by its ISBN", &["isbn"]),
            tool("place_order", "Order copies of a book", &["isbn", "copies"]),
            tool("recommend_books", "What to read next; thinks for a while", &["like"]),
            tool("stock_report", "Count the whole stock; takes very long", &[]),
        ];
        tools.push(match updated {
            true => tool("track_order", "Where an order is", &["order"]),
            false => tool("print_catalogue", "Print the catalogue on paper", &[]),
        });
        tools
    }

    /// About `typical`, a little different each time.
    async fn work(&self, typical: Duration) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        // 60 % to 150 % of it; 37 is coprime to 100, so that a hundred calls in a row all differ.
        let percent = 60 + (call * 37 % 100) * 9 / 10;
        tokio::time::sleep(typical * u32::try_from(percent).unwrap_or(100) / 100).await;
    }
}

impl ServerHandler for Clerk {
    fn get_info(&self) -> ServerConfig {
        let offers = ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        let version = if self.updated.load(Ordering::Relaxed) { "2.0.0" } else { "1.4.0" };
        ServerConfig::new(offers).with_server_info(Implementation::new("bookshop", version))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let from = match request.and_then(|request| request.cursor) {
            None => 0,
            Some(cursor) => cursor.parse::<usize>().map_err(|_| ErrorData::invalid_params("no such page", None))?,
        };
        let tools = self.tools();
        let page: Vec<_> = tools.iter().skip(from).take(TOOLS_PER_PAGE).cloned().collect();
        let next = from.saturating_add(page.len());
        let mut result = ListToolsResult::with_all_items(page);
        result.next_cursor = (next < tools.len()).then(|| next.to_string());
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let argument = |name: &str| {
            let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name));
            value.and_then(|value| value.as_str()).unwrap_or("").to_owned()
        };
        if !self.tools().iter().any(|tool| tool.name == request.name) {
            return Err(ErrorData::invalid_params(format!("unknown tool: {}", request.name), None));
        }
        let said = |text: String| Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into());
        let refused = |text: &str| Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into());
        match &*request.name {
            "search_books" => {
                self.work(Duration::from_millis(14)).await;
                said(format!("3 books about {}", argument("query")))
            }
            "get_book" => {
                self.work(Duration::from_millis(4)).await;
                match argument("isbn").starts_with("978") {
                    true => said("The Left Hand of Darkness, Ursula K. Le Guin, 1969".to_owned()),
                    false => refused("not an ISBN"),
                }
            }
            "place_order" => {
                self.work(Duration::from_millis(60)).await;
                match argument("copies").as_str() {
                    "1" => said("order 4711".to_owned()),
                    _ => refused("only one copy left"),
                }
            }
            "recommend_books" => {
                self.work(Duration::from_millis(420)).await;
                said("The Dispossessed".to_owned())
            }
            "print_catalogue" => {
                self.work(Duration::from_millis(25)).await;
                Err(ErrorData::internal_error("the printer is out of paper", None))
            }
            "stock_report" => {
                tokio::time::sleep(STOCK_REPORT).await;
                said("41,337 books".to_owned())
            }
            _ => {
                self.work(Duration::from_millis(9)).await;
                said("on its way".to_owned())
            }
        }
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![
            Resource::new("shop://bestsellers", "Bestsellers"),
            Resource::new("shop://opening-hours", "Opening hours"),
        ]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if !request.uri.starts_with("shop://") {
            return Err(ErrorData::resource_not_found("no such resource", None));
        }
        let text = ResourceContents::text("Monday to Friday, 9 to 18", request.uri);
        Ok(ReadResourceResult::new(vec![text]).into())
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let arguments = vec![PromptArgument::new("for").with_required(true)];
        let prompt = Prompt::new("gift_advice", Some("Find a gift"), Some(arguments));
        Ok(ListPromptsResult::with_all_items(vec![prompt]))
    }

    async fn get_prompt(
        &self,
        _request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let text = "Ask who the gift is for, then search the catalogue.";
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).into())
    }
}

/// A tool whose arguments are all text.
fn tool(name: &'static str, description: &'static str, arguments: &[&str]) -> Tool {
    let properties: JsonObject =
        arguments.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    let mut schema = JsonObject::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), properties.into());
    Tool::new(name, description, schema)
}
