"""A server on its standard input and output that nothing ends but SIGKILL, with a child that is no better.

Run as `stubborn.py`; the reference server's tools `echo` and `trigger-long-running-operation` do what the client in
clients/hanging.mjs needs of them.
"""

import json
import signal
import subprocess
import sys
import threading

CHILD = "import signal, threading; signal.signal(signal.SIGTERM, signal.SIG_IGN); threading.Event().wait()"
CAPABILITIES = {"capabilities": {"tools": {}}, "serverInfo": {"name": "stubborn", "version": "1"}}


def send(**message):
    """Sends one message."""
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def main():
    """Serves, and stays when its client is gone."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for line in sys.stdin:
        message = json.loads(line)
        match message.get("method"):
            case "initialize":
                send(id=message["id"], result=CAPABILITIES | {"protocolVersion": message["params"]["protocolVersion"]})
            case "tools/call" if message["params"]["name"] == "echo":
                send(id=message["id"], result={"content": [{"type": "text", "text": "Echo"}]})
            case "tools/call":
                token = message["params"]["_meta"]["progressToken"]
                send(method="notifications/progress", params={"progressToken": token, "progress": 1})
    threading.Event().wait()


if __name__ == "__main__":
    main()
