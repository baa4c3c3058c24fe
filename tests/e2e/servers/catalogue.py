"""What the test servers offer, as the JSON that goes over the wire.

Both SDK generations serve the same catalogue, so that one scripted conversation fits every pair of client and
server. Nothing here depends on the time, on chance or on the process: two runs of one conversation must give the
same answers.
"""

PAGE_ITEMS = 5

# Where a server answers in more ways than one: path -> whether it has no sessions, whether it answers with JSON bodies.
MORE_ENDPOINTS = {"/stateless/mcp": (True, False), "/json/mcp": (False, True), "/stateless-json/mcp": (True, True)}

# The keys of the calls of hang that have begun. Progress would tell it too, but not where answers are JSON bodies.
BEGUN = set()

SUM_SCHEMA = {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]}


def tool(name, description, properties=None, **more):
    """One entry of `tools/list`; every property is required."""
    properties = properties or {}
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    return {"name": name, "description": description, "inputSchema": schema, **more}


TOOLS = [
    tool("add", "Adds two numbers.", {"a": {"type": "number"}, "b": {"type": "number"}}, outputSchema=SUM_SCHEMA),
    tool("ask", "Asks the client: elicitation, then sampling."),
    tool("begun", "Tells whether a call of hang with that key has begun.", {"key": {"type": "string"}}),
    tool("big", "Answers with that many characters.", {"chars": {"type": "integer"}}),
    tool("count", "Counts up, reporting progress and logging each step.", {"steps": {"type": "integer"}}),
    tool("echo", "Answers with its argument.", {"text": {"type": "string"}}),
    tool("fail", "Reports a failure of its own (isError).", {"reason": {"type": "string"}}),
    tool("grow", "Adds a tool to the server and tells the client.", {"name": {"type": "string"}}),
    tool("hang", "Reports progress once and then never answers."),
    tool("headers", "Answers with the HTTP headers that the server received."),
    tool("refuse", "Answers with a JSON-RPC error."),
    tool("roots", "Asks the client for its roots, outside the call's own stream where there is another one."),
    tool("slow", "Answers after a while.", {"ms": {"type": "integer"}}),
]

RESOURCES = [
    {"uri": f"test://static/{name}", "name": name, "mimeType": "text/plain"}
    for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")
] + [{"uri": "test://static/blob", "name": "blob", "mimeType": "application/octet-stream"}]

TEMPLATES = [{"uriTemplate": "test://made/{name}", "name": "made", "mimeType": "text/plain"}]

PROMPTS = [
    {"name": "greet", "description": "Greets somebody.", "arguments": [{"name": "who", "required": True}]},
    {"name": "plain", "description": "Takes nothing."},
]

REFUSAL = {"code": -32050, "message": "refused: that is not done here", "data": {"hint": "ask somebody else"}}
NO_SUCH_RESOURCE = {"code": -32002, "message": "Resource not found"}
NO_SUCH_TOOL = {"code": -32602, "message": "Unknown tool"}
NO_SUCH_PROMPT = {"code": -32602, "message": "Unknown prompt"}

ELICITATION = {
    "message": "Which colour?",
    "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]},
}
SAMPLING = {"messages": [{"role": "user", "content": {"type": "text", "text": "Say a word."}}], "maxTokens": 10}


def add_options(parser):
    """The command line that both servers share."""
    parser.add_argument("port", type=int, nargs="?", help="where to serve HTTP; without it, standard input and output")
    parser.add_argument("--json", action="store_true", help="answer with JSON bodies instead of SSE where possible")
    parser.add_argument("--extra-tool", metavar="NAME", help="offer one more tool")
    parser.add_argument("--without-tool", metavar="NAME", help="do not offer that tool")
    parser.add_argument("--reworded-tool", metavar="NAME", help="describe that tool in other words")


def tools_for(options):
    """The tools that a server with these options offers; a list of its own, which may grow."""
    tools = [item for item in TOOLS if item["name"] != options.without_tool]
    tools = [item | {"description": "Reworded."} if item["name"] == options.reworded_tool else item for item in tools]
    return tools + ([tool(options.extra_tool, "Added between two runs.")] if options.extra_tool else [])


def as_json():
    """All of it for a server in another language."""
    return {
        "pageItems": PAGE_ITEMS,
        "endpoints": {"/mcp": (False, False), **MORE_ENDPOINTS},
        "tools": TOOLS,
        "resources": RESOURCES,
        "resourceTemplates": TEMPLATES,
        "prompts": PROMPTS,
        "refusal": REFUSAL,
        "noSuchTool": NO_SUCH_TOOL,
        "noSuchResource": NO_SUCH_RESOURCE,
        "noSuchPrompt": NO_SUCH_PROMPT,
    }


class Refused(Exception):
    """A JSON-RPC error, in no SDK's terms; the servers translate it."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.error = error


def page(items, cursor):
    """One page of a list, and the cursor of the next page or None."""
    start = int(cursor or 0)
    end = start + PAGE_ITEMS
    return items[start:end], str(end) if end < len(items) else None


def text_result(text, **more):
    """A tool result that holds one text block."""
    return {"content": [{"type": "text", "text": text}], **more}


def headers(received):
    """The HTTP headers that arrived, as a tool's result; without those of the connection itself."""
    lines = sorted(f"{name}: {value}" for name, value in received.items() if name not in ("connection", "keep-alive"))
    return text_result("\n".join(lines))


def call(name, arguments):
    """The result of a tool that needs nothing from its server."""
    match name:
        case "add":
            total = arguments["a"] + arguments["b"]
            return text_result(str(total), structuredContent={"sum": total})
        case "begun":
            return text_result("yes" if arguments["key"] in BEGUN else "no")
        case "echo":
            return text_result(arguments["text"])
        case "big":
            return text_result("0123456789abcdef" * (arguments["chars"] // 16))
        case "fail":
            return text_result(f"failed: {arguments['reason']}", isError=True)
        case "refuse":
            raise Refused(REFUSAL)
    raise Refused(NO_SUCH_TOOL)


def read(uri):
    """The result of `resources/read`."""
    if uri == "test://static/blob":
        return {"contents": [{"uri": uri, "mimeType": "application/octet-stream", "blob": "AAECAwT/"}]}
    known = {resource["uri"] for resource in RESOURCES}
    if uri in known or uri.startswith("test://made/"):
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": f"the text of {uri}"}]}
    raise Refused(NO_SUCH_RESOURCE)


def prompt(name, arguments):
    """The result of `prompts/get`."""
    if name not in ("greet", "plain"):
        raise Refused(NO_SUCH_PROMPT)
    text = f"Greet {arguments['who']}." if name == "greet" else "Be plain."
    return {"messages": [{"role": "user", "content": {"type": "text", "text": text}}]}


def completion(prefix):
    """The result of `completion/complete`."""
    names = ["world", "word", "nobody"]
    return {"completion": {"values": [name for name in names if name.startswith(prefix)], "hasMore": False}}
