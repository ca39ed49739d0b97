"""The policy check of the pipeline: hands each exchange to the policy in force.

It neither reads files nor follows them (`holder.py`), and acts on nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from governance.clock import Clock
from governance.exchange import Exchange, Phase, SessionRef
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.stage import Thought
from governance.verdict import Verdict

_NONE: frozenset[str] = frozenset()


class InForce(Protocol):
    """Whoever knows the policy in force."""

    @property
    def current(self) -> Policy:
        """The policy to judge by now."""
        ...


class PolicyStage:
    """Judges requests and responses by the rules in force."""

    name = "policy"

    def __init__(
        self,
        policies: InForce,
        *,
        clock: Clock,
        calls: Callable[[str], int],
        labels: Callable[[SessionRef], Awaitable[frozenset[str]]],
    ) -> None:
        """Take what judging needs.

        Args:
            policies: the holder of the policy in force.
            clock: what `now` of a condition is.
            calls: how many tool calls this process saw of the session with this id; `session.calls` of a condition.
            labels: what a session is labelled with; asked only where a rule depends on it.
        """
        self._policies = policies
        self._clock = clock
        self._calls = calls
        self._labels = labels

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """What the rules say. A rule that cannot be evaluated refuses.

        Raises:
            Exception: the labels of the session cannot be read; the guard refuses.
        """
        policy = self._policies.current
        if policy.asks_labels(phase, exchange.action):
            return self._with_labels(policy, exchange, phase)
        return policy.judge(exchange, phase, lambda: self._around(exchange, _NONE))

    async def _with_labels(self, policy: Policy, exchange: Exchange, phase: Phase) -> Verdict:
        labels = await self._labels(exchange.session)
        return policy.judge(exchange, phase, lambda: self._around(exchange, labels))

    def visible(self, exchange: Exchange) -> bool:
        """Whether any call of the tool of `exchange` could be allowed: what a list may show."""
        return self._policies.current.visible(exchange)

    def _around(self, exchange: Exchange, labels: frozenset[str]) -> Around:
        return Around(now=self._clock.now(), calls=self._calls(exchange.session.id), labels=labels)
