//! What the demo's clients do.
//!
//! Runs on the demo's runtime. Nothing here is random: every demo makes the same calls.

use super::bookshop::Bookshop;
use super::client::{Client, Era};
use super::steps::Steps;

/// Clients that look around for a minute, all at once; one that stays meets the new release; one comes after it.
pub(super) async fn play(url: &str, bookshop: &Bookshop, steps: &Steps) -> Result<Client, String> {
    let (claude, cursor, vscode, chatgpt) =
        tokio::join!(claude(url), cursor(url, steps), vscode(url, steps), chatgpt(url, steps));
    cursor?;
    vscode?;
    chatgpt?;
    let claude = claude?;

    bookshop.update();
    steps.done("bookshop 2.0.0", "goes live: one tool added, one removed, one modified");
    let (claude, inspector) = tokio::join!(claude_again(claude, steps), inspector(url, steps));
    claude?;
    inspector
}

async fn claude(url: &str) -> Result<Client, String> {
    let mut client = Client::connect(url, "claude-ai", "0.1.0", Era::Sessions).await?;
    client.list_everything().await?;
    for query in ["anarchism", "winter", "ansible", "dragons", "trees", "islands"] {
        client.call("search_books", &[("query", query)]).await?;
    }
    for isbn in ["9780441478125", "9780061054884", "0441478123", "9780547773742"] {
        client.call("get_book", &[("isbn", isbn)]).await?;
    }
    client.call("recommend_books", &[("like", "9780441478125")]).await?;
    client.call("place_order", &[("isbn", "9780061054884"), ("copies", "1")]).await?;
    client.call("place_order", &[("isbn", "9780061054884"), ("copies", "20")]).await?;
    client.prompt("gift_advice").await?;
    Ok(client)
}

async fn claude_again(mut client: Client, steps: &Steps) -> Result<(), String> {
    client.list_tools().await?;
    client.call("search_books", &[("query", "winter"), ("language", "de")]).await?;
    for _ in 0..3 {
        client.call("track_order", &[("order", "4711")]).await?;
    }
    leave(client, "claude-ai", steps).await;
    Ok(())
}

async fn cursor(url: &str, steps: &Steps) -> Result<(), String> {
    let mut client = Client::connect(url, "cursor-vscode", "1.7.44", Era::Sessions).await?;
    client.list_tools().await?;
    for query in ["rust", "logs", "checksums", "torn pages", "b-trees", "compaction", "fsync", "rust"] {
        client.call("search_books", &[("query", query)]).await?;
    }
    client.call("print_catalogue", &[]).await?;
    client.call("get_book", &[("isbn", "9781718503106")]).await?;
    client.call("print_catalogue", &[]).await?;
    client.call("recommend_books", &[("like", "9781718503106")]).await?;
    leave(client, "cursor-vscode", steps).await;
    Ok(())
}

async fn vscode(url: &str, steps: &Steps) -> Result<(), String> {
    let mut client = Client::connect(url, "Visual Studio Code", "1.104.1", Era::Sessions).await?;
    client.list_everything().await?;
    client.read("shop://opening-hours").await?;
    client.read("shop://bestsellers").await?;
    client.call("stock_report", &[]).await?;
    client.call("place_order", &[("isbn", "9780441478125"), ("copies", "1")]).await?;
    leave(client, "Visual Studio Code", steps).await;
    Ok(())
}

async fn chatgpt(url: &str, steps: &Steps) -> Result<(), String> {
    let mut client = Client::connect(url, "openai-mcp", "1.0.0", Era::Sessionless).await?;
    client.list_tools().await?;
    for query in ["gifts", "poetry", "short stories"] {
        client.call("search_books", &[("query", query)]).await?;
    }
    for like in ["9780061054884", "9780547773742"] {
        client.call("recommend_books", &[("like", like)]).await?;
    }
    steps.client("openai-mcp", &client, "its protocol has no sessions");
    client.close().await;
    Ok(())
}

/// Stays connected, so that there is an open session to see.
async fn inspector(url: &str, steps: &Steps) -> Result<Client, String> {
    let mut client = Client::connect(url, "mcp-inspector", "0.17.2", Era::Sessions).await?;
    client.list_everything().await?;
    client.call("search_books", &[("query", "test")]).await?;
    client.read("file:///etc/passwd").await?;
    steps.client("mcp-inspector", &client, "stays connected");
    Ok(client)
}

async fn leave(client: Client, name: &str, steps: &Steps) {
    steps.client(name, &client, "session closed");
    client.close().await;
}
