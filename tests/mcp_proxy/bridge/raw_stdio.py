"""A stdio server without any SDK that speaks one era: `legacy`, `modern`, or `silent` (legacy, and never says no).

Or both: `late` answers what is asked by `server/discover` only when `initialize` has come, too.

Tools: `change` (the list of tools changes), `slow` (never answers), `cancelled` (how many calls were), `pid`, `ask`,
`era` (that of the call).
"""

import os
import sys
from typing import Any

import orjson

ERA = sys.argv[1]
VERSION = "io.modelcontextprotocol/protocolVersion"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
listening: list[Any] = []
cancelled: list[Any] = []
asking: dict[Any, Any] = {}
held: list[dict[str, Any]] = []


def say(value: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps({"jsonrpc": "2.0", **value}) + b"\n")
    sys.stdout.buffer.flush()


def text(request_id: Any, words: str) -> None:
    result = {"content": [{"type": "text", "text": words}], "isError": False}
    say({"id": request_id, "result": {**result, "resultType": "complete"} if ERA in ("modern", "late") else result})


def call(message: dict[str, Any]) -> None:
    name, request_id = message["params"]["name"], message["id"]
    if name == "change":
        if ERA == "modern":
            for one in listening:
                say({"method": "notifications/tools/list_changed", "params": {"_meta": {SUBSCRIPTION: one}}})
        else:
            say({"method": "notifications/tools/list_changed"})
        text(request_id, "changed")
    elif name == "cancelled":
        text(request_id, str(len(cancelled)))
    elif name == "pid":
        text(request_id, str(os.getpid()))
    elif name == "era":
        text(request_id, "modern" if VERSION in message["params"].get("_meta", {}) else "legacy")
    elif name == "ask":
        asking[len(asking)] = request_id
        schema = {"type": "object", "properties": {"word": {"type": "string"}}}
        params = {"mode": "form", "message": message["params"]["arguments"]["question"], "requestedSchema": schema}
        say({"id": len(asking) - 1, "method": "elicitation/create", "params": params})


def handle(message: dict[str, Any]) -> None:
    method = message.get("method")
    params: dict[str, Any] = message.get("params") or {}
    request_id = message.get("id")
    capabilities = {"tools": {"listChanged": True}}
    if method is None:
        text(asking[request_id], message["result"]["content"]["word"])
    elif method == "notifications/cancelled":
        cancelled.append(params["requestId"])
    elif request_id is None:
        return
    elif ERA == "late" and method == "server/discover" and not held:
        held.append(message)
    elif ERA == "late" and method == "initialize" and held:
        handle(held[0])
        held.clear()
        handle(message)
    elif ERA != "late" and (VERSION in params.get("_meta", {})) != (ERA == "modern"):
        if ERA != "silent":
            say({"id": request_id, "error": {"code": -32601, "message": "no such method"}})
    elif method == "initialize":
        info = {"name": "raw", "version": "1"}
        say(
            {
                "id": request_id,
                "result": {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info},
            }
        )
    elif method == "server/discover":
        told: dict[str, Any] = {
            "supportedVersions": ["2026-07-28"],
            "capabilities": capabilities,
            "ttlMs": 0,
            "cacheScope": "private",
        }
        say({"id": request_id, "result": {**told, "resultType": "complete"}})
    elif method == "subscriptions/listen":
        listening.append(request_id)
        told = {"notifications": params["notifications"], "_meta": {SUBSCRIPTION: request_id}}
        say({"method": "notifications/subscriptions/acknowledged", "params": told})
    elif method == "tools/call":
        call(message)
    else:
        say({"id": request_id, "result": {"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}})


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        handle(orjson.loads(line))
