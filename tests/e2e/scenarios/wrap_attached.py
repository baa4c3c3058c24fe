"""Claude Code's and VS Code's own configuration files: attached, a client that reads them starts the wrapped server.

It sees what it saw before. Detached, the files are what they were, byte for byte.
"""

from harness import store
from harness.processes import HERE, Failed, fold, run, say
from scenarios.wrap_view import EVERYTHING

TOKEN = "e2e-secret-token"
SERVER = "everything things"
ECHOES = 3

CLAUDE_CODE = f"""{{
  "numStartups": 184,
  "tipsHistory": {{"shift-enter": 171}},
  "projects": {{
    "/elsewhere": {{
      "history": [{{"display": "what does \\"mcpServers\\": {{ mean?\\n", "pastedContents": {{}}}}],
      "mcpServers": {{}}
    }}
  }},
  "mcpServers": {{
    "{SERVER}": {{
      "type": "stdio",
      "command": "{EVERYTHING[0]}",
      "args": [
        "{EVERYTHING[1]}",
        "stdio"
      ],
      "env": {{"E2E_TOKEN": "{TOKEN}"}}
    }},
    "remote": {{"type": "http", "url": "https://mcp.example.com/mcp", "headers": {{"Authorization": "Bearer x"}}}}
  }},
  "oauthAccount": {{"emailAddress": "someone@example.com"}}
}}
"""
VSCODE = f"""{{
\t// Secrets are asked for, see `inputs`.
\t"inputs": [{{"type": "promptString", "id": "key", "description": "A key, // no comment", "password": true}}],
\t"servers": {{
\t\t/* the reference server */
\t\t"{SERVER}": {{
\t\t\t"type": "stdio",
\t\t\t"command": "{EVERYTHING[0]}", // as it lies
\t\t\t"args": ["{EVERYTHING[1]}", "stdio",],
\t\t\t"env": {{"E2E_TOKEN": "{TOKEN}"}},
\t\t}},
\t\t"remote": {{"type": "http", "url": "https://mcp.example.com/mcp"}},
\t}},
}}
"""
# The client on mcplog's command line -> as it names itself, its file in the home, its servers' member, and the file.
CLIENTS = {
    "claude-code": ("claude-code", ".claude.json", "mcpServers", CLAUDE_CODE),
    "vscode": ("Visual Studio Code", ".config/Code/User/mcp.json", "servers", VSCODE),
}


def rows_of(directory, client):
    """The outcomes of the echoes in the one session of a client, which is closed and of the server's own name."""
    sessions = store.rows(directory, "SELECT * FROM sessions WHERE client_name = ?", client)
    if len(sessions) != 1 or sessions[0]["ended_at"] is None or sessions[0]["proxy"] != SERVER:
        raise Failed(f"not one closed session of {client} with {SERVER}: {sessions}")
    session = sessions[0]["session_id"]
    found = store.rows(directory, "SELECT outcome FROM requests WHERE session_id = ? AND tool = 'echo'", session)
    return [row["outcome"] for row in found]


def wrap_attached(work, mcplog):
    """Each client: bare, attached, detached."""
    home = work / "home"
    # As a user has it who says nothing of where anything lies.
    environment = {
        "HOME": str(home),
        "MCPLOG_DIR": "",
        "XDG_DATA_HOME": "",
        "XDG_CONFIG_HOME": "",
        "XDG_STATE_HOME": "",
    }
    printed = 0
    for client, (name, within, key, text) in CLIENTS.items():
        file = home / within
        file.parent.mkdir(parents=True)
        file.write_text(text)

        def uses(how, name=name, file=file, key=key, client=client):
            command = ["node", str(HERE / "clients/from_config.mjs"), name, str(file), key, SERVER]
            run(f"{client}-{how}", command, work, environment=environment)
            return (work / f"{client}-{how}.log").read_bytes()

        def asks(verb, client=client):
            # Where there is no file of a project.
            run(f"{client}-{verb}", [mcplog, verb, client], work, environment=environment)

        bare = uses("bare")
        asks("attach")
        if file.read_text() == text:
            raise Failed(f"{client}: nothing is attached")
        attached = uses("attached")
        if bare != attached:
            raise Failed(f"{client}: the client printed {bare[-500:]} bare, and attached {attached[-500:]}")
        asks("detach")
        if file.read_text() != text:
            raise Failed(f"{client}: detaching left another file:\n{file.read_text()}")
        if uses("detached") != bare:
            raise Failed(f"{client}: the client prints something else after detaching")
        printed += len(bare)
        # On a busy machine the client may end the wrapper before it has folded: then whoever comes next does.
        fold(mcplog, home / ".local/share/mcplog", work)
        if (found := rows_of(home / ".local/share/mcplog", name)) != ["ok"] * ECHOES:
            raise Failed(f"{client}: of {ECHOES} calls these are on record: {found}")
        if TOKEN.encode() in b"".join(
            path.read_bytes() for path in (home / ".local/share").rglob("*") if path.is_file()
        ):
            raise Failed(f"{client}: the store holds what the file says of the environment")
    say(
        f"{len(CLIENTS)} clients' files attached, used and detached: {printed} bytes printed alike, files byte for byte"
    )
