"""The loop check of the pipeline: turns what `loops.py` saw into a verdict, by the rungs of the configuration.

Its memory is that of this process. A call that a person approved is let through and counts like any other: the ladder
goes on, so the next equal call is held again and the hard stop still comes.
"""

from governance.clock import Clock
from governance.config.models import Loop
from governance.exchange import Action, Exchange, Phase
from governance.verdict import ALLOWED, Decision, Verdict, strongest
from sessions.loops import Loops, Sighting, fingerprint


class LoopStage:
    """Warns, asks, refuses and in the end kills when an agent goes in circles."""

    name = "loop"

    def __init__(self, numbers: Loop, *, clock: Clock, loops: Loops | None = None) -> None:
        """Take the numbers of the configuration, and a memory of one's own if it is to be shared."""
        self._numbers = numbers
        self._clock = clock
        self.loops = loops or Loops(numbers)
        """What is remembered; the policy's `session.calls` asks it too."""
        self._rungs = tuple(
            (limit, decision)
            for limit, decision in (
                (numbers.repeat_kill, Decision.KILL),
                (numbers.repeat_deny, Decision.DENY),
                (numbers.repeat_hold, Decision.HOLD),
                (numbers.repeat_warn, Decision.WARN),
            )
            if limit
        )

    async def judge(self, exchange: Exchange, phase: Phase) -> Verdict:
        """What the run of an exchange has come to with this call. Only tool calls count."""
        if exchange.action is not Action.TOOL_CALL or phase is not Phase.REQUEST:
            return ALLOWED
        call = fingerprint(exchange.resource.server, exchange.resource.name, exchange.arguments)
        seen = self.loops.see(exchange.session.id, call, self._clock.monotonic())
        return strongest((self._repetition(seen), self._cycle(seen), self._rate(seen)))

    def _repetition(self, seen: Sighting) -> Verdict:
        reached = [rung for rung in self._rungs if seen.repeats >= rung[0]]
        if not reached:
            return ALLOWED
        limit, decision = max(reached, key=lambda rung: rung[1].strength)
        consequence = {
            Decision.WARN: f"from {limit} times on you are told so: try something else",
            Decision.HOLD: f"from {limit} times on a person must approve it",
            Decision.DENY: f"from {limit} times on it is refused: try something else",
            Decision.KILL: f"at {limit} times the session is stopped",
        }[decision]
        times = "once" if seen.repeats == 1 else f"{seen.repeats} times"
        reason = f"the same call was made {times} in this session: {consequence}"
        return Verdict(decision, by=self.name, rule="loop.repeat", reason=reason)

    def _cycle(self, seen: Sighting) -> Verdict:
        if not seen.period:
            return ALLOWED
        limit = self._numbers.cycle_repeats
        reason = (
            f"the same {seen.period} calls went round {limit} times or more in this session: "
            f"from {limit} times on a person must approve the next"
        )
        return Verdict(Decision.HOLD, by=self.name, rule="loop.cycle", reason=reason)

    def _rate(self, seen: Sighting) -> Verdict:
        if not seen.too_fast:
            return ALLOWED
        limit = self._numbers.rate_per_minute
        reason = f"more than {limit} calls within a minute in this session: wait a little"
        return Verdict(Decision.DENY, by=self.name, rule="loop.rate", reason=reason)
