"""Getting an MCP endpoint ready for load: open the session it wants, and write the calls down."""

import json
import urllib.request
from pathlib import Path
from typing import Any

from bench import bodies

MODERN = "2026-07-28"
LEGACY = "2025-06-18"
ACCEPT = "application/json, text/event-stream"


def prepare(url: str, headers: dict[str, str], folder: Path) -> tuple[Path, dict[str, str]]:
    """A file of `tools/call` bodies and the headers that go with them, for the era that the endpoint speaks.

    A session is opened where the endpoint gives one. Raises `OSError` where it does neither.
    """
    base = {"Accept": ACCEPT, "Content-Type": "application/json", **headers}
    initialize = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
    }  # fmt: skip
    session = _post(url, initialize, base).get("mcp-session-id")
    more = {"Accept": ACCEPT, "MCP-Protocol-Version": LEGACY}
    if session:
        more["Mcp-Session-Id"] = session
    _post(url, {"jsonrpc": "2.0", "method": "notifications/initialized"}, {**base, **more})
    _post(url, {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}, {**base, **more})
    texts = folder / "mcp.jsonl"
    bodies.write(texts, "mcp-legacy")
    return texts, more


def _post(url: str, message: dict[str, Any], headers: dict[str, str]) -> dict[str, str]:
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
        return {name.lower(): value for name, value in answer.headers.items()}
