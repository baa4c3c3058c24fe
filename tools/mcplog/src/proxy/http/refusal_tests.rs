//! Every request head that is refused, and those beside it that are not.

use super::*;
use http::Request;

fn refusal(request: http::request::Builder) -> Option<Refusal> {
    Refusal::of(&request.body(()).unwrap().into_parts().0, &Via::new())
}

fn get(target: &str) -> http::request::Builder {
    Request::get(target)
}

#[test]
fn a_request_names_one_valid_host() {
    assert_eq!(refusal(get("/mcp")), Some(Refusal::NoHost));
    assert_eq!(refusal(get("/mcp").version(Version::HTTP_10)), None, "HTTP/1.0 has no Host");
    for host in ["h", "h:80", "h:", "127.0.0.1:3000", "[::1]", "[::1]:80", "a_b.example", "xn--bcher-kva.example"] {
        assert_eq!(refusal(get("/mcp").header("host", host)), None, "{host}");
    }
    for host in [
        "", " ", "a b", "a,b", "u@h", "u:p@h", "h/x", "h?x", "h#x", "h:x", "h:-1", "h:99999", "[::1", "::1", ":80",
        "http://h",
    ] {
        assert_eq!(refusal(get("/mcp").header("host", host)), Some(Refusal::BadHost), "{host:?}");
    }
    for (first, second) in [("a", "b"), ("a", "a"), ("a", "")] {
        let request = get("/mcp").header("host", first).header("host", second);
        assert_eq!(refusal(request), Some(Refusal::SeveralHosts), "{first} {second}");
    }
}

#[test]
fn a_target_has_a_form_that_its_method_may_have() {
    for (method, target, expected) in [
        ("GET", "/", None),
        ("GET", "/mcp?x=1", None),
        ("GET", "http://h:9/mcp", None),
        ("GET", "https://h/mcp", None),
        ("OPTIONS", "*", None),
        ("GET", "*", Some(Refusal::BadTarget)),
        ("GET", "h:80", Some(Refusal::BadTarget)),
        ("GET", "ftp://h/", Some(Refusal::BadTarget)),
        ("GET", "http://u:p@h/", Some(Refusal::BadTarget)),
        ("GET", "http://h:99999/", Some(Refusal::BadTarget)),
        ("CONNECT", "h:80", Some(Refusal::Tunnel)),
        ("CONNECT", "/mcp", Some(Refusal::Tunnel)),
    ] {
        // What the HTTP library's types refuse never gets here.
        let Ok(request) = Request::builder().method(method).uri(target).header("host", "h").body(()) else { continue };
        assert_eq!(Refusal::of(&request.into_parts().0, &Via::new()), expected, "{method} {target}");
    }
}

#[test]
fn an_absolute_target_says_which_host() {
    let of = |target: &str| {
        let mut head = get(target).header("host", "field").body(()).unwrap().into_parts().0;
        take_host_of_target(&mut head);
        head.headers.get_all(HOST).iter().map(|host| host.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("/mcp"), ["field"]);
    assert_eq!(of("http://target:9/mcp"), ["target:9"]);
}

#[test]
fn the_only_transfer_coding_is_chunked_once() {
    for (values, expected) in [
        (&["chunked"][..], true),
        (&["Chunked "], true),
        (&["gzip, chunked"], false),
        (&["gzip", "chunked"], false),
        (&["chunked", "chunked"], false),
        (&["chunked, chunked"], false),
        (&["identity"], false),
        (&["x"], false),
        (&[""], false),
    ] {
        let mut request = get("/").header("host", "h");
        for value in values {
            request = request.header("transfer-encoding", *value);
        }
        assert_eq!(refusal(request), (!expected).then_some(Refusal::TransferCoding), "{values:?}");
    }
}

#[test]
fn what_came_from_this_proxy_is_a_loop() {
    let via = Via::new();
    let mut head = get("/mcp").header("host", "h").body(()).unwrap().into_parts().0;
    via.mark(&mut head.headers, Version::HTTP_11);
    assert_eq!(Refusal::of(&head, &via), Some(Refusal::Loop));
    assert_eq!(Refusal::of(&head, &Via::new()), None, "another proxy's");
}
