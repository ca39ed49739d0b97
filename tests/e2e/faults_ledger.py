"""An MCP server on standard input that looks into the audit log, from outside, before it does anything.

`python faults_ledger.py LEDGER DATABASE`. Each `mark` is one line in the file: the text, and whether the decision that
allows it was durable at that very moment. It uses nothing but the standard library, and so starts at once.
"""

import hashlib
import json
import os
import sqlite3
import sys
from typing import Any

DISCOVERED: dict[str, Any] = {
    "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0,
    "cacheScope": "private",
}  # fmt: skip
"""What it says of itself before the first call: the proxy asks for its era."""
RECENT = 1000
"""How far back the decision of a call that arrives now can be."""
LOOK = """
SELECT count(*) FROM audit_events
WHERE seq > (SELECT max(seq) FROM audit_events) - ? AND event_type = 'exchange.admitted'
AND json_extract(body, '$.arguments_digest') = ?
"""


def is_decided(database: sqlite3.Connection, arguments: dict[str, str]) -> bool:
    """Whether another process sees the decision; the digest is made here anew, without Wicket's own code."""
    text = json.dumps(arguments, separators=(",", ":"), sort_keys=True)
    return database.execute(LOOK, (RECENT, hashlib.sha256(text.encode()).hexdigest())).fetchone() == (1,)


def main(ledger: str, database: sqlite3.Connection) -> None:
    """Answer every `tools/call` until standard input ends."""
    file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for line in sys.stdin:
        call: dict[str, Any] = json.loads(line)
        if call.get("method") == "server/discover":
            say(call["id"], DISCOVERED)
        if call.get("method") != "tools/call":
            continue
        arguments: dict[str, str] = call["params"]["arguments"]
        seen = "decided" if is_decided(database, arguments) else "undecided"
        os.write(file, f"{arguments['text']} {seen}\n".encode())
        os.fsync(file)
        content = [{"type": "text", "text": f"marked {arguments['text']}"}]
        result = {"resultType": "complete", "content": content, "isError": False}
        say(call["id"], result)


def say(request_id: str | int, result: dict[str, Any]) -> None:
    """Answer a request."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request_id, "result": result}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sqlite3.connect(f"file:{sys.argv[2]}?mode=ro", uri=True, timeout=10))
