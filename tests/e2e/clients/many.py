"""Many conversations of one Python client at the same time.

Run as `many.py GENERATION JOBS`: JOBS is a JSON file with a list of objects: `url`, `name` (of the client), `mode`
(2.x only), and `out` (where the transcript goes). Each holds the conversation `every end`; they share nothing but the
process. One that goes wrong says so in its transcript (`failed`), and does not end the others.
"""

import asyncio
import importlib
import json
import sys
import traceback

import anyio

from conversation import LAST_STEP, hold
from transcript import EXTRA_HEADERS, write


async def one(module, job):
    """Holds one conversation and writes its transcript."""
    # Each has a credential of its own, as clients of different people have.
    headers = EXTRA_HEADERS | {"authorization": f"{EXTRA_HEADERS['authorization']}-{job['name']}"}
    mode = [job["mode"]] if job["mode"] else []
    peer = module.Peer(job["url"], *mode, name=job["name"], headers=headers)
    failed = None
    steps = []
    try:
        await hold(peer, "every end", steps)
    except Exception as error:  # Whatever it is belongs to this conversation's verdict.
        if not (steps and steps[-1]["step"] == LAST_STEP and is_of_closing(error)):
            failed = traceback.format_exc()
    # By what they asked: one that was given up early may have left after its time limit was noticed.
    messages = [json.loads(item["request_body"]) for item in peer.tap.exchanges if item["request_body"]]
    hanging = [it for it in messages if it.get("params", {}).get("name") == "hang"]
    unseen = [it["id"] for it in hanging if it["params"]["arguments"]["key"] in peer.unseen]
    write(job["out"], job["url"], steps, peer.tap.exchanges, name=job["name"], failed=failed, unseen=unseen)


def is_of_closing(error):
    """Whether the 2.x SDK stumbled over itself: it closed while the answer to a call that it gave up arrived."""
    return isinstance(error, ExceptionGroup) and error.split(anyio.BrokenResourceError)[1] is None


async def main(generation, jobs):
    """Holds them all."""
    module = importlib.import_module(f"mcp{generation}")
    with open(jobs, encoding="utf-8") as file:
        await asyncio.gather(*(one(module, job) for job in json.load(file)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
