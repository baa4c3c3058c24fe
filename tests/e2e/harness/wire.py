"""Reading a transcript's wire: messages out of JSON bodies and event streams."""

import json
from urllib.parse import parse_qs, urlsplit


def headers(exchange, side):
    """The headers of one side ("request" or "response") as a dict; repeated names are joined."""
    joined = {}
    for name, value in exchange[f"{side}_headers"]:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def body_text(exchange):
    """A response body as text; transcripts keep it as Latin-1 so that no byte is lost."""
    return exchange["body"].encode("latin-1").decode("utf-8")


def is_event_stream(exchange):
    """Whether the response is Server-Sent Events."""
    return headers(exchange, "response").get("content-type", "").startswith("text/event-stream")


def events(text):
    """The complete events of an event stream, as lists of their lines; comments (keep-alives) are left out."""
    *complete, _cut = text.replace("\r\n", "\n").split("\n\n")
    found = []
    for event in complete:
        lines = [line for line in event.split("\n") if line and not line.startswith(":")]
        if lines:
            found.append(lines)
    return found


def received_texts(exchange):
    """The text of every event of the response that is a JSON-RPC message."""
    found = events(body_text(exchange)) if is_event_stream(exchange) else []
    data = ["\n".join(line[5:].lstrip() for line in event if line.startswith("data:")) for event in found]
    # The first event of the 2024-11-05 transport is a path and no message.
    return [item for item in data if item.startswith("{")]


def received(exchange):
    """Every JSON-RPC message that the response carried."""
    text = body_text(exchange)
    if is_event_stream(exchange):
        return [json.loads(item) for item in received_texts(exchange)]
    if not text or "json" not in headers(exchange, "response").get("content-type", ""):
        return []
    message = json.loads(text)
    return message if isinstance(message, list) else [message]


def sent(exchange):
    """Every JSON-RPC message that the request carried."""
    if not exchange["request_body"]:
        return []
    message = json.loads(exchange["request_body"])
    return message if isinstance(message, list) else [message]


def session_of_old_transport(exchange):
    """The session in the URL of a message of the 2024-11-05 transport, or None."""
    query = parse_qs(urlsplit(exchange["path"]).query)
    # As the Python SDKs name it, and as the TypeScript SDK does.
    return (query.get("session_id") or query.get("sessionId") or [None])[0]


def answering_exchange(exchange, exchanges):
    """Where the answers to an exchange's requests arrive: in it, or on the stream of the 2024-11-05 transport."""
    if session_of_old_transport(exchange) is None:
        return exchange
    return next(item for item in exchanges if item["http_method"] == "GET")


def response_to(exchange, request_id):
    """The answer that an exchange carries to one request, or None."""
    for message in received(exchange):
        if "method" not in message and message.get("id") == request_id:
            return message
        if "error" in message and message.get("id") is None:
            return message
    return None
