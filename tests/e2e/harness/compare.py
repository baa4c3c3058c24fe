"""Two transcripts of one conversation, made comparable and compared.

Only what must vary from run to run is taken out: the address that the client dialled, random ids, dates, and the
headers that belong to one connection and not to the message. Everything else must be equal, byte for byte.
"""

import json
import re
from urllib.parse import urlsplit

from harness import wire

# Of one connection, not of the message (RFC 9110, 7.6.1), and the clock.
NOT_COMPARED = {"connection", "keep-alive", "transfer-encoding", "date"}

RANDOM_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b")
TIMESTAMP = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
DIFFERENCES_MAX = 20
TOOLS_CHANGED = "notifications/tools/list_changed"


def order_key(exchange):
    """Where an exchange belongs, whenever it was sent: what runs side by side leaves in any order."""
    message = (wire.sent(exchange) or [{}])[0]
    return (
        exchange["http_method"],
        message.get("method", ""),
        "id" in message,
        str(message.get("id", "")).rjust(12),
        exchange["request_body"],
    )


def is_told_by_chance(event):
    """Whether an event of a GET stream says that the tools changed.

    The reference server says so at the handshake, whether or not the client's GET has arrived: where it has not, the
    event is lost. No run can promise what it sees of these.
    """
    return any(TOOLS_CHANGED in line for line in event if line.startswith("data:"))


def comparable_exchange(exchange, tools_change_by_chance):
    """One exchange without what is not compared."""
    kept = {
        "sent": f"{exchange['http_method']} {exchange['path']} {exchange['request_body']}",
        "status": exchange["status"],
        "headers": {
            name: value for name, value in wire.headers(exchange, "response").items() if name not in NOT_COMPARED
        },
    }
    text = wire.body_text(exchange)
    # Of a stream, the client may leave while its end is still on the way: whole events count.
    kept["body"] = wire.events(text) if wire.is_event_stream(exchange) else text
    if tools_change_by_chance and exchange["http_method"] == "GET" and wire.is_event_stream(exchange):
        kept["body"] = [event for event in kept["body"] if not is_told_by_chance(event)]
    if exchange["path"] == "/sse":
        # One stream for all answers: those of calls that run side by side may change places.
        kept["body"].sort()
    return kept


def comparable(transcript, tools_change_by_chance=False):
    """The transcript with everything that must vary replaced by a name."""
    exchanges = sorted(transcript["wire"], key=order_key)
    text = json.dumps(
        {"steps": transcript["steps"], "wire": [comparable_exchange(item, tools_change_by_chance) for item in exchanges]},
        ensure_ascii=False,
    )
    # Only the address that was dialled: a proxy that put its upstream's in its place would be seen.
    text = text.replace(urlsplit(transcript["url"]).netloc, "<dialled>")
    names = {}
    text = RANDOM_ID.sub(lambda match: names.setdefault(match.group(), f"<id {len(names)}>"), text)
    return json.loads(TIMESTAMP.sub("<time>", text))


def differences(one, other, path=""):
    """Every place where two JSON values differ, as readable lines."""
    if isinstance(one, dict) and isinstance(other, dict):
        lines = []
        for key in sorted(one.keys() | other.keys()):
            missing = object()
            left, right = one.get(key, missing), other.get(key, missing)
            if left is missing or right is missing:
                lines.append(f"{path}/{key}: only {'through the proxy' if left is missing else 'directly'}")
            else:
                lines += differences(left, right, f"{path}/{key}")
        return lines
    if isinstance(one, list) and isinstance(other, list):
        lines = [f"{path}: {len(one)} items directly, {len(other)} through the proxy"] if len(one) != len(other) else []
        for index, (left, right) in enumerate(zip(one, other, strict=False)):
            lines += differences(left, right, f"{path}/{index}")
        return lines
    if one != other:
        return [f"{path}: directly {json.dumps(one)[:300]}\n{' ' * len(path)}   proxied {json.dumps(other)[:300]}"]
    return []


def compare(direct, proxied, tools_change_by_chance=False):
    """What the client saw through the proxy and not without it, or the other way round; empty if all is equal.

    `tools_change_by_chance`: the server may or may not get to say that its tools changed (see `is_told_by_chance`).
    """
    one, other = (comparable(transcript, tools_change_by_chance) for transcript in (direct, proxied))
    return differences(one, other)[:DIFFERENCES_MAX]
