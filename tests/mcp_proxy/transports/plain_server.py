"""An MCP server over stdio without any SDK: fast, exact, and able to misbehave. Run as a program by the tests.

`tools/call` by name: `echo`, `env`, `big`, `progress`, `ask`, `slow`, `crash`, `log`, `noise`, `malformed`, `fifo`,
`stubborn`.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson


def say(value: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.buffer.flush()


def notify(method: str, params: dict[str, Any]) -> None:
    say({"jsonrpc": "2.0", "method": method, "params": params})


def answer(request: dict[str, Any], result: Any) -> None:
    say({"jsonrpc": "2.0", "id": request["id"], "result": result})


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


waiting: dict[Any, dict[str, Any]] = {}


def call(request: dict[str, Any], name: str, arguments: Any, meta: dict[str, Any]) -> None:
    if name == "echo":
        answer(request, {**text("echo"), "structuredContent": arguments, "seen": request})
    elif name == "env":
        answer(request, text(orjson.dumps(dict(os.environ)).decode()))
    elif name == "pid":
        answer(request, text(str(os.getpid())))
    elif name == "spawn":
        child = subprocess.Popen(["sleep", "600"])
        answer(request, text(str(child.pid)))
    elif name == "big":
        answer(request, text("x" * int(arguments["size"])))
    elif name == "progress":
        for step in range(3):
            notify("notifications/progress", {"progressToken": meta["progressToken"], "progress": step})
        answer(request, text("done"))
    elif name == "ask":
        waiting["server-1"] = request
        say({"jsonrpc": "2.0", "id": "server-1", "method": "sampling/createMessage", "params": {"messages": []}})
    elif name == "slow":
        waiting[request["id"]] = request
        if "progressToken" in meta:
            notify("notifications/progress", {"progressToken": meta["progressToken"], "progress": 0})
    elif name == "crash":
        os._exit(7)
    elif name == "log":
        notify("notifications/message", {"level": "info", "data": "one"})
        answer(request, text("logged"))
    elif name == "noise":
        sys.stdout.write("a line that is no message\n")
        sys.stderr.write("key=" + os.environ.get("TOKEN", "") + " \x1b[31mred\n")
        sys.stderr.flush()
        answer(request, text("noisy"))
    elif name == "malformed":
        sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%d,"result":{"a":1,"a":2}}\n' % request["id"])
        sys.stdout.buffer.flush()
    elif name == "fifo":
        answer(request, text(Path(arguments["path"]).read_text()))
    elif name == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        answer(request, text("stubborn"))
        signal.pause()


def handle(message: dict[str, Any]) -> None:
    method, params = message.get("method"), message.get("params", {})
    if method is None:
        origin = waiting.pop(message["id"])
        answer(origin, text(orjson.dumps(message["result"]).decode()))
    elif method == "initialize":
        info = {"name": "plain", "version": "1"}
        version = params["protocolVersion"]
        answer(message, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
    elif method == "tools/list":
        names = ("echo", "big", "forbidden")
        answer(message, {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]})
    elif method == "tools/call":
        call(message, params["name"], params.get("arguments"), params.get("_meta", {}))
    elif method == "subscriptions/listen":
        meta = {"io.modelcontextprotocol/subscriptionId": message["id"]}
        waiting[message["id"]] = message
        notify("notifications/subscriptions/acknowledged", {"_meta": meta})
        notify("notifications/tools/list_changed", {"_meta": meta})
    elif method == "vendor/change":
        notify("notifications/tools/list_changed", {})
    elif method == "vendor/finish":
        for request_id in list(waiting):
            request = waiting.pop(request_id)
            answer(request, {"_meta": {"io.modelcontextprotocol/subscriptionId": request["id"]}})
    elif method == "notifications/cancelled":
        notify("notifications/message", {"level": "info", "data": {"cancelled": params}})
    elif "id" in message:
        error = {"code": -32601, "message": "no such method", "data": {"method": method}}
        say({"jsonrpc": "2.0", "id": message["id"], "error": error})


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        handle(orjson.loads(line))
