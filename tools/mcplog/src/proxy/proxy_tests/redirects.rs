//! Redirects: they lead back through the proxy, and their rows say where to.

use super::*;

#[tokio::test]
async fn a_redirect_to_the_upstream_leads_through_the_proxy_and_can_be_followed() {
    for status in [301, 302, 303, 307, 308] {
        let upstream = Upstream::start(move |request, mut reply| async move {
            if request.target() == "/mcp" {
                // Its own name, whatever the client's Host was.
                let own = reply.writer.local_addr().unwrap();
                let location = format!("http://{own}/mcp/?key=hunter2");
                let fields = [("location", location.as_str()), ("content-location", location.as_str())];
                reply.whole(status, &fields, "").await;
            } else {
                reply.json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
            }
        })
        .await;
        let fixture = Fixture::new(&upstream).await;
        let body = call("1", "ping", "{}");
        let response = fixture.send("POST", "/mcp", &[("host", "proxy.example")], body.as_bytes()).await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["content-location"], "/mcp/?key=hunter2");
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(location, "/mcp/?key=hunter2", "relative to whatever address the client used");
        let followed = fixture.send("POST", &location, &[], body.as_bytes()).await;
        assert_eq!(followed.status(), StatusCode::OK);
        let rows = fixture.rows(2).await;
        assert_eq!(rows[0].gist(), format!("ping 1 error http_{status}"));
        rows[0].assert_ended(Some(status), Outcome::Redirected, Some(&format!("{status} to /mcp/")));
        assert_eq!(rows[1].gist(), "ping 1 ok");
        assert!(!format!("{rows:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn a_redirect_elsewhere_passes_as_it_is() {
    const ELSEWHERE: &str = "https://u:hunter2@login.example/authorize?state=hunter2#hunter2";
    let upstream = Upstream::start(|_, mut reply| async move {
        let fields = [("location", ELSEWHERE), ("link", "<http://h/x>; rel=next")];
        reply.whole(302, &fields, "").await;
    })
    .await;
    let fixture = Fixture::new(&upstream).await;
    let response = fixture.send("POST", "/mcp", &[], call("1", "ping", "{}").as_bytes()).await;
    assert_eq!(response.headers()["location"], ELSEWHERE);
    assert_eq!(response.headers()["link"], "<http://h/x>; rel=next");
    let row = fixture.row().await;
    row.assert_ended(Some(302), Outcome::Redirected, Some("302 to https://login.example/authorize"));
    assert!(!format!("{row:?}").contains("hunter2"), "{row:?}");
}
