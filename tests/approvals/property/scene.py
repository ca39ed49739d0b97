"""Who calls what in the race, under which rules, and which people decide: the same for both processes and the judge."""

import json
from dataclasses import dataclass
from pathlib import Path

from approvals.quorum import Approver
from governance.jsontree import JsonObject

TIMEOUT = 300.0
USERS = ("ann", "bob", "")
"""Whom the agents' keys stand for: one key each."""
SESSIONS = ("ses_0", "ses_1")
TOOLS = ("write", "pay")
VARIANTS = 3
"""Policies; the last asks two people about `write` too."""
PEOPLE = tuple(Approver(f"approver:{one}", f"user:{one}", one, "approver") for one in ("ann", "bob", "cleo"))
DEFINITIONS = 3
WORKERS = 2


@dataclass(frozen=True)
class Call:
    """One call that may be made again and again."""

    slot: int

    @property
    def tool(self) -> str:
        return TOOLS[self.slot % 2]

    @property
    def caller(self) -> int:
        """Place in `USERS`."""
        return self.slot // 2 % len(USERS)

    @property
    def session(self) -> str:
        return SESSIONS[self.slot // 6 % len(SESSIONS)]

    @property
    def arguments(self) -> JsonObject:
        return {"n": self.slot // 12, "to": "all"}


CALLS = tuple(Call(slot) for slot in range(24))


def definition(number: int) -> JsonObject:
    """One of the forms in which the server defines its tools."""
    return {"name": "t", "description": f"form {number}", "inputSchema": {"type": "object"}}


def quorum(variant: int, tool: str) -> int:
    """How many people a policy wants to approve a call of a tool."""
    return 2 if tool == "pay" or variant == VARIANTS - 1 else 1


def write_policy(path: Path, variant: int) -> None:
    """Put a policy where a process reads it, whole at once."""
    rules: list[JsonObject] = [
        {"id": f"v{variant}", "match": {"tool": f"never-{variant}"}, "decide": "deny"},
        {"id": "ask", "match": {"tool": "write"}, "decide": "hold", "quorum": quorum(variant, "write")},
        {"id": "pay", "match": {"tool": "pay"}, "decide": "hold", "quorum": 2, "no_self_approval": True},
    ]
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"version": 1, "default": "allow", "rules": rules}))
    fresh.rename(path)
