"""Wicket as a user has it: a folder, a configuration with everything that governs, real processes."""

import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.fixture.server import TOOL_NAMES
from tests.conformance.process import PYTHON, RunError, free_port, listening, output

WICKET = (PYTHON, "-m", "wicket")
FIXTURE = (PYTHON, "-m", "tests.conformance.fixture.server")
SERVER = "suite"

POLICY: dict[str, Any] = {
    "version": 1,
    "default": "allow",
    "rules": [
        {"id": "no-drops", "match": {"tool": ["drop_*", "*destroy*"]}, "decide": "deny", "reason": "nothing goes"},
        {"id": "payments-wait", "match": {"tool": "pay*", "args": {"/amount": {"gt": 100}}}, "decide": "hold"},
        {"id": "not-much", "match": {"action": "tool.call"}, "when": "session.calls > 10000", "decide": "kill"},
    ],
}
SETTINGS: dict[str, Any] = {
    "gateway": {"port": 0},
    "policies": ["policy.yaml"],
    "identity": {"anonymous": True},
    "budgets": [{"scope": "session", "calls": 5000}, {"scope": "tenant", "per": "day", "calls": 100000}],
    "audit": {"content": "masked"},
    "approvals": {"tasks": False},
}
"""All that is configured, besides the ports and the server. Detection and loop detection are as without a setting.

Tasks are not offered, so that servers say of themselves what they say. The suite sends no key, so requests without one
are let in; `wicket stdio` has a key, as it always must.
"""


@dataclass(frozen=True)
class Installation:
    """A folder in which Wicket is set up."""

    folder: Path
    key: str

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "wicket.yaml"

    @contextlib.asynccontextmanager
    async def serving(self, server: dict[str, Any], name: str = SERVER) -> AsyncGenerator[str]:
        """`wicket mcp` in front of a server, given as in `mcpServers`; yields the server's address at Wicket."""
        port = free_port()
        self.configure({"mcp": {"port": port}, "mcpServers": {name: server}})
        command = (*WICKET, "mcp", "--config", str(self.config))
        async with listening(command, port=port, log=self.folder / "wicket.log"):
            yield f"http://localhost:{port}/mcp/{name}"

    def wrapping(self) -> tuple[str, ...]:
        """`wicket stdio` around the fixture, as a command; it wants `environ`."""
        return (*WICKET, "stdio", "--server", SERVER, "--config", str(self.config), "--", *FIXTURE)

    @property
    def environ(self) -> dict[str, str]:
        """What `wicket stdio` needs of the environment."""
        return {"WICKET_KEY": self.key}

    async def must_have_governed(self) -> None:
        """Hold to it that the log is whole, that exchanges are in it, and that each was allowed as it was.

        The suite alone would not see all of that: a refused call is answered with text, as it asked for.

        Raises:
            RunError: it is not so.
        """
        await output([*WICKET, "audit", "verify", "--config", str(self.config)])
        exported = await output([*WICKET, "audit", "export", "--config", str(self.config)])
        # Not `splitlines`: a text in it may hold other ends of lines.
        events = [json.loads(line)["body"] for line in exported.strip().split("\n")]
        decisions = [
            event["policy_decision"]
            for event in events
            if event["event_type"].startswith("exchange.") and not _is_of_nothing(event)
        ]
        others = [decision for decision in decisions if decision != "allow"]
        if others or not decisions:
            what = f"decisions other than allow: {', '.join(others)}" if others else "nothing was governed"
            raise RunError(f"{what}: see `wicket audit show` in {self.folder}")

    def configure(self, settings: dict[str, Any]) -> None:
        """Write the configuration: what every run has, and `settings`."""
        self.config.write_text(json.dumps(SETTINGS | settings, indent=1))


def _is_of_nothing(event: dict[str, Any]) -> bool:
    """Whether a tool was called that the fixture does not list: scenarios of the tasks extension do so."""
    return (event.get("server"), event.get("rule")) == (SERVER, "pin.unlisted") and event["tool"] not in TOOL_NAMES


async def install(folder: Path) -> Installation:
    """Set Wicket up in a folder that is not there yet."""
    _write(folder)
    said = await output([*WICKET, "init", "--json", "--config", str(folder / "wicket.yaml")])
    made = json.loads(said)
    return Installation(folder, made["token"])


def _write(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "policy.yaml").write_text(json.dumps(POLICY, indent=1))
    (folder / "wicket.yaml").write_text(json.dumps(SETTINGS, indent=1))
