"""Policies and exchanges for the tests of this room."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from textwrap import dedent, indent
from typing import Any

from governance.exchange import Exchange, Phase
from governance.policy.cases import Given, exchange_of
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.policy.load import compile_sources
from governance.verdict import Verdict

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def policy_of(rules: str, head: str = "") -> Policy:
    """The policy of some rules, each written as an entry of the list."""
    text = f"version: 1\n{head}\nrules:\n{indent(dedent(rules), '  ')}" if rules else f"version: 1\n{head}"
    return compile_sources([("policy.yaml", text)])


def call(**given: Any) -> Exchange:
    """A call of the tool `write_file` of the server `files`, or what `given` says."""
    return exchange_of(Given.model_validate({"server": "files", "tool": "write_file", **given}))


def around(calls: int = 0, now: datetime = NOON) -> Callable[[], Around]:
    return lambda: Around(now=now, calls=calls)


def judge(policy: Policy, exchange: Exchange, phase: Phase = Phase.REQUEST, *, calls: int = 0) -> Verdict:
    return policy.judge(exchange, phase, around(calls))


def rules_of(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.rule for verdict in verdicts]
