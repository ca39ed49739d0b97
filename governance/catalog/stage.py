"""The catalog check of the pipeline: refuses calls that are certainly not calls.

It decides only what is certain without knowing the tool. Whether a definition may change, and whether arguments fit
their schema, are later checks on the same `exchange.resource.definition`.
"""

from governance.exchange import Action, Exchange, Phase
from governance.verdict import ALLOWED, Decision, Verdict

MAX_NAME = 128
"""Longest tool name, in characters: MCP 2026-07-28, `server/tools`, "tool names"."""


class CatalogStage:
    """Refuses a tool call whose name or arguments no server could mean."""

    name = "catalog"

    def judge(self, exchange: Exchange, phase: Phase) -> Verdict:
        """Refused, or nothing to say."""
        if exchange.action is not Action.TOOL_CALL or phase is not Phase.REQUEST:
            return ALLOWED
        name = exchange.resource.name
        if not name:
            return self._refuse("catalog.name", "the call names no tool: give `name`")
        if len(name) > MAX_NAME:
            return self._refuse("catalog.name", f"the tool's name is longer than {MAX_NAME} characters")
        if not name.isprintable():
            return self._refuse("catalog.name", "the tool's name holds characters that cannot be seen")
        if not isinstance(exchange.arguments, dict):
            return self._refuse("catalog.arguments", "the arguments of a tool call must be an object")
        return ALLOWED

    def _refuse(self, rule: str, reason: str) -> Verdict:
        return Verdict(Decision.DENY, by=self.name, rule=rule, reason=reason)
