"""The policy check of the pipeline: hands each exchange to the policy in force.

It neither reads files nor follows them (`holder.py`), and acts on nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
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


class Listener(Protocol):
    """Whoever wants to know what the rules were asked and what they said (`governance/history/ledger.py`)."""

    @property
    def labels(self) -> bool:
        """Whether the labels of the session are wanted of each exchange, also where no rule asks for them."""
        ...

    def hear(
        self, exchange: Exchange, phase: Phase, verdict: Verdict, heard: Sequence[Verdict], around: Callable[[], Around]
    ) -> None:
        """Take note of one judgement. Must be quick, and must not raise.

        Args:
            exchange: as it was judged.
            phase: which half of it.
            verdict: what the policy says.
            heard: what each rule in force said that fits, whether it decided or not.
            around: what conditions may have asked.
        """
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
        listener: Listener | None = None,
    ) -> None:
        """Take what judging needs.

        Args:
            policies: the holder of the policy in force.
            clock: what `now` of a condition is.
            calls: how many tool calls this process saw of the session with this id; `session.calls` of a condition.
            labels: what a session is labelled with; asked only where a rule depends on it.
            listener: is told of every judgement.
        """
        self._policies = policies
        self._clock = clock
        self._calls = calls
        self._labels = labels
        self._listener = listener

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """What the rules say. A rule that cannot be evaluated refuses.

        Raises:
            Exception: the labels of the session cannot be read; the guard refuses.
        """
        policy, listener = self._policies.current, self._listener
        if policy.asks_labels(phase, exchange.action) or (listener is not None and listener.labels):
            return self._with_labels(policy, exchange, phase)
        return self._judged(policy, exchange, phase, _NONE)

    async def _with_labels(self, policy: Policy, exchange: Exchange, phase: Phase) -> Verdict:
        return self._judged(policy, exchange, phase, await self._labels(exchange.session))

    def _judged(self, policy: Policy, exchange: Exchange, phase: Phase, labels: frozenset[str]) -> Verdict:
        around = partial(self._around, exchange, labels)
        if self._listener is None:
            return policy.judge(exchange, phase, around)
        heard: list[Verdict] = []
        verdict = policy.judge(exchange, phase, around, heard)
        self._listener.hear(exchange, phase, verdict, heard, around)
        return verdict

    def visible(self, exchange: Exchange) -> bool:
        """Whether any call of the tool of `exchange` could be allowed: what a list may show."""
        return self._policies.current.visible(exchange)

    def _around(self, exchange: Exchange, labels: frozenset[str]) -> Around:
        return Around(now=self._clock.now(), calls=self._calls(exchange.session.id), labels=labels)
