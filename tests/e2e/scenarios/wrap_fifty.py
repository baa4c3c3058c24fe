"""`mcplog wrap -- npx server-everything stdio` under the TypeScript SDK's client, fifty calls.

What the client prints is byte for byte what it prints without the wrapper, and the store has a row for each call, and
for each request of the server.
"""

from collections import Counter

from harness import store
from harness.processes import HERE, INSTALLED, Failed, fold, run, say

# As people write it. Where it is started the package is installed, so that nothing is fetched.
SERVER = ["npx", "-y", "@modelcontextprotocol/server-everything", "stdio"]
# What the wrapper makes of that.
NAME = "@modelcontextprotocol/server-everything"
CLIENT = ("e2e-vscode-typescript", "7.8.9", "vscode")
EACH_TOOL = 5
EXPECTED = Counter(
    {
        ("client", "initialize", None, "ok"): 1,
        ("client", "tools/call", "echo", "ok"): EACH_TOOL,
        ("client", "tools/call", "get-sum", "ok"): EACH_TOOL,
        ("client", "tools/call", "get-env", "ok"): EACH_TOOL,
        ("client", "tools/call", "get-tiny-image", "ok"): EACH_TOOL,
        ("client", "tools/call", "no such tool", "tool_error"): EACH_TOOL,
        ("client", "tools/call", "trigger-sampling-request", "ok"): EACH_TOOL,
        ("client", "tools/call", "trigger-elicitation-request", "ok"): EACH_TOOL,
        ("client", "tools/call", "get-roots-list", "ok"): EACH_TOOL,
        ("client", "tools/call", "get-sum", "tool_error"): EACH_TOOL,
        ("client", "tools/call", "get-structured-content", "ok"): EACH_TOOL,
        ("server", "roots/list", None, "ok"): 1,
        ("server", "sampling/createMessage", None, "ok"): EACH_TOOL,
        ("server", "elicitation/create", None, "ok"): EACH_TOOL,
    }
)


def place_with_packages(work):
    """A folder in which npx finds the packages that setup.sh installed."""
    place = work / "project"
    place.mkdir(exist_ok=True)
    (place / "node_modules").symlink_to(INSTALLED / "node_modules")
    (place / "package.json").write_text('{"private": true}\n')
    return place


def printed(name, place, command):
    """What the client prints with that server."""
    run(name, ["node", str(HERE / "clients/fifty.mjs"), *command], place)
    return (place / f"{name}.log").read_bytes()


def check_store(directory):
    """Exactly the rows of fifty calls, in one session."""
    found = Counter(
        (row["direction"], row["method"], row["tool"], row["outcome"])
        for row in store.rows(directory, "SELECT * FROM requests")
    )
    if found != EXPECTED:
        raise Failed(f"rows that are missing: {EXPECTED - found}\nrows too many: {found - EXPECTED}")
    sessions = store.rows(directory, "SELECT * FROM sessions")
    if len(sessions) != 1:
        raise Failed(f"{len(sessions)} sessions: {sessions}")
    session = sessions[0]
    if (session["client_name"], session["client_version"], session["client_platform"]) != CLIENT:
        raise Failed(f"the session's client is not {CLIENT}: {session}")
    if session["proxy"] != NAME or not session["derived"] or session["ended_at"] is None or session["noise_lines"]:
        raise Failed(f"the session is not one of {NAME} that was made up, is closed, and had no noise: {session}")
    strangers = store.rows(
        directory,
        "SELECT * FROM requests WHERE proxy <> ? OR session_id <> ? OR transport <> 'stdio'",
        NAME,
        session["session_id"],
    )
    if strangers:
        raise Failed(f"rows of another server, session or transport: {strangers}")


def wrap_fifty(work, mcplog):
    """Once bare, once wrapped."""
    place = place_with_packages(work)
    directory = work / "store"
    bare = printed("bare", place, SERVER)
    wrapped = printed("wrapped", place, [mcplog, "wrap", "--dir", str(directory), "--", *SERVER])
    if bare != wrapped:
        pairs = zip(bare.splitlines(), wrapped.splitlines(), strict=False)
        differing = [(one[:300], other[:300]) for one, other in pairs if one != other][:5]
        raise Failed(f"the client printed {len(bare)} bytes bare and {len(wrapped)} wrapped: {differing}")
    fold(mcplog, directory, work)
    check_store(directory)
    say(f"50 calls: {len(bare)} bytes printed with and without the wrapper, {EXPECTED.total()} rows")
