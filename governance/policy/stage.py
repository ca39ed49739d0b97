"""The policy check of the pipeline: hands each exchange to the policy in force.

It neither reads files nor follows them (`holder.py`), and acts on nothing.
"""

from collections.abc import Callable
from typing import Protocol

from governance.clock import Clock
from governance.exchange import Exchange, Phase
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.verdict import Verdict


class InForce(Protocol):
    """Whoever knows the policy in force."""

    @property
    def current(self) -> Policy:
        """The policy to judge by now."""
        ...


class PolicyStage:
    """Judges requests and responses by the rules in force."""

    name = "policy"

    def __init__(self, policies: InForce, *, clock: Clock, calls: Callable[[str], int]) -> None:
        """Take what judging needs.

        Args:
            policies: the holder of the policy in force.
            clock: what `now` of a condition is.
            calls: how many tool calls this process saw of the session with this id; `session.calls` of a condition.
        """
        self._policies = policies
        self._clock = clock
        self._calls = calls

    async def judge(self, exchange: Exchange, phase: Phase) -> Verdict:
        """What the rules say. A rule that cannot be evaluated refuses."""
        return self._policies.current.judge(exchange, phase, lambda: self._around(exchange))

    def visible(self, exchange: Exchange) -> bool:
        """Whether any call of the tool of `exchange` could be allowed: what a list may show."""
        return self._policies.current.visible(exchange)

    def _around(self, exchange: Exchange) -> Around:
        return Around(now=self._clock.now(), calls=self._calls(exchange.session.id))
