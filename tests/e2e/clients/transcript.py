"""How clients write their transcripts, and what all of them send beside the protocol."""

import json

# A proxy must hand these through untouched, and none of them may end up in the store.
EXTRA_HEADERS = {
    "authorization": "Bearer e2e-secret-token",
    "origin": "http://127.0.0.1:1",
    "x-unknown-to-proxies": "kept as it is",
}


def write(path, url, steps, exchanges, **more):
    """Writes one transcript: what the SDK said, and what went over the wire beneath it."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"url": url, "steps": steps, "wire": exchanges, **more}, file)
