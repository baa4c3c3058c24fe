"""The conversation that the Python clients hold with the reference server of the TypeScript SDK.

`clients/typescript.mjs` holds the same one. What that server answers with the time of day in it is left out.
"""

MESSAGE = "through the proxy: \u2028 日本 \U0001f980"


async def converse(conversation):
    """Every kind of thing that the server does, once."""
    peer = conversation.peer
    await conversation.lists()
    await conversation.call("echo", message=MESSAGE)
    await conversation.call("echo", wrong="arguments")
    await conversation.call("get-sum", a=2, b=40)
    await conversation.call("no such tool")
    await conversation.call("get-structured-content", location="Chicago")
    await conversation.call("get-tiny-image")
    await conversation.call("get-annotated-message", messageType="error", includeImage=True)
    await conversation.call("get-resource-links", count=3)
    await conversation.call("trigger-long-running-operation", expect_seen=3, duration=0.3, steps=3)
    await conversation.call("trigger-sampling-request", expect_seen=1, prompt="Say a word.", maxTokens=10)
    await conversation.call("trigger-elicitation-request", expect_seen=1)
    await conversation.call("get-roots-list")
    await conversation.step("read text", lambda: peer.read("demo://resource/static/document/features.md"))
    await conversation.step("read missing", lambda: peer.read("demo://resource/static/document/nowhere.md"))
    await conversation.step("prompt", lambda: peer.prompt("args-prompt", {"city": "Paris"}))
    await conversation.step("prompt missing", lambda: peer.prompt("nobody", {}))
    await conversation.step("complete", lambda: peer.complete("completable-prompt", "department", "E"))
    await conversation.step("ping", peer.ping)
    await conversation.step("set level", lambda: peer.set_level("warning"))
