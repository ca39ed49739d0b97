"""The loop check of the pipeline: turns what `loops.py` saw into a verdict, by the rungs of the configuration.

What would be refused or asked about is said before the call, what the agent is told behind its result: only then is it
known that the result was the same again. Its memory is that of this process. A call that a person approved is let
through and counts like any other, unless the person allowed more of them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from governance.clock import Clock
from governance.config.models import Loop
from governance.exchange import EMPTY, Action, Body, Exchange, Phase, Resource, Role
from governance.jsontree import Json
from governance.stage import Outcome
from governance.verdict import ALLOWED, Decision, Relief, Verdict, strongest
from sessions.grants import Grants
from sessions.likeness import Recipe, Recipes, answer_of, failure_of, fingerprint
from sessions.loops import Call, Loops, Sighting
from sessions.monologue import SHORTEST, Monologue
from sessions.streak import Answer

Rungs = tuple[tuple[int, Decision], ...]
"""From how many times on what happens, the strongest first. `allow` stands for a note in the log."""
_MOST_RECIPES = 10_000
_BY = "loop"


@dataclass(slots=True)
class _Open:
    """A call that has begun."""

    run: str
    call: Call
    recipe: Recipe
    what: bytes = b""
    """What repeats, where a person is asked because of it."""
    counts: bool = True
    """False: it is one of those that a person allowed."""


@dataclass(frozen=True, slots=True)
class _Count:
    """One thing that was counted."""

    rule: str
    times: int
    what: bytes
    """Names what repeats, so that more of it can be allowed."""
    told: str
    """Says what repeats, with `{times}`."""


class Ear:
    """Listens to one text of a model as it comes."""

    def __init__(self, rungs: Rungs) -> None:
        self._rungs = rungs
        self._monologue = Monologue()
        self._limit = 0
        self.noted: tuple[Verdict, ...] = ()
        """What should stand in the log."""

    def feed(self, text: str) -> Verdict:
        """Take in more text; says whether the rest must not leave."""
        times = self._monologue.feed(text)
        limit, decision = _reached(self._rungs, times)
        if limit <= self._limit:
            return ALLOWED
        self._limit = limit
        if decision is Decision.ALLOW:
            told = f"a model said the same words {limit} times or more at a stretch"
            self.noted = (Verdict(Decision.WARN, by=_BY, rule="loop.text", reason=told),)
            return ALLOWED
        consequence = "the session is stopped" if decision is Decision.KILL else "its answer is cut off"
        reason = f"the model said the same words {times} times at a stretch: from {limit} times on {consequence}"
        return Verdict(decision, by=_BY, rule="loop.text", reason=reason)


class LoopStage:
    """Warns, asks, refuses and in the end kills when an agent goes in circles."""

    name = "loop"

    def __init__(
        self,
        numbers: Loop,
        *,
        clock: Clock,
        loops: Loops | None = None,
        said: Callable[[Resource], Mapping[str, Json]] = lambda _resource: EMPTY,
    ) -> None:
        """Take what judging needs.

        Args:
            numbers: the numbers of the configuration.
            clock: says when.
            loops: a memory, if it is to be shared.
            said: what the server of a tool says of loops, where it is believed (`likeness.SAID`).
        """
        self._numbers = numbers
        self._clock = clock
        self.loops = loops or Loops(numbers)
        """What is remembered; the policy's `session.calls` asks it too."""
        self._grants = Grants()
        self._said = said
        self._recipes = Recipes(numbers)
        self._known: dict[tuple[str, str, str], Recipe] = {}
        self._open: dict[str, _Open] = {}
        self._before, self._behind = _ladders(numbers)
        texts = ((numbers.text_kill, Decision.KILL), (numbers.text_deny, Decision.DENY))
        self._text: Rungs = tuple(one for one in (*texts, (numbers.text_observe, Decision.ALLOW)) if one[0])
        self._least_before, self._least_behind = _least(self._before), _least(self._behind)

    def judge(self, exchange: Exchange, phase: Phase) -> Verdict:
        """What the run of an exchange has come to with this call, or whether the answer of a model repeats itself."""
        if exchange.action is not Action.TOOL_CALL:
            heard = phase is Phase.RESPONSE and exchange.action is Action.LLM_GENERATE
            return self._heard(exchange.response) if heard else ALLOWED
        return self._asked(exchange) if phase is Phase.REQUEST else self._answered(exchange)

    def owes(self, exchange: Exchange) -> bool:
        """Whether the call has begun and no answer to it was seen."""
        return exchange.id in self._open

    def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """Note how a call ended that got no answer. One that was refused is counted too; one that only waits is not."""
        opened = self._open.pop(exchange.id, None)
        if opened is not None:
            opened.counts = opened.counts and outcome.status != "pending"
            answer = failure_of(outcome.error) if outcome.error else None
            self._ended(opened, answer)

    def relieve(self, exchange: Exchange, relief: Relief) -> None:
        """Allow what a person allowed beyond this one call, which was held because of a loop."""
        opened = self._open.get(exchange.id)
        if opened is None or not opened.what:
            return
        if relief.exempt:
            self._grants.spare(opened.run, opened.call.tool)
        elif relief.more:
            self._grants.allow(opened.run, opened.what, relief.more)

    def forget(self, run: str) -> None:
        """Begin anew with a run, for example because a person revived it."""
        self.loops.forget(run)
        self._grants.forget(run)

    def ear(self, role: Role) -> "Ear | None":
        """Listens to one stream of text in a role; nobody listens to what is not a model's own words."""
        return Ear(self._text) if role is Role.ASSISTANT and self._text else None

    # -- within -----------------------------------------------------------------------------------------------------

    def _asked(self, exchange: Exchange) -> Verdict:
        resource, run, now = exchange.resource, exchange.session.id, self._clock.monotonic()
        if (given_up := self._open.pop(exchange.id, None)) is not None:
            # A person changed the call while it waited: what was asked for is not made, and this is judged instead.
            given_up.counts = False
            self._ended(given_up, None)
        tool = f"{resource.server}/{resource.name}"
        recipe = self._recipe(tool, resource)
        if recipe.exempt or self._grants.spared(run, tool):
            return self._rate(self.loops.begin(run, None, now))
        key = fingerprint(resource.server, resource.name, exchange.arguments, recipe)
        call = Call(key, tool, resource.annotations.get("readOnlyHint") is True)
        seen = self.loops.begin(run, call, now)
        opened = self._open[exchange.id] = _Open(run, call, recipe)
        verdict = ALLOWED
        for count in _counts(call, seen) if _most(seen) >= self._least_before else ():
            said = self._before_call(opened, count)
            if said.decision.strength > verdict.decision.strength:
                verdict, opened.what = said, count.what
        return strongest((verdict, self._rate(seen))) if seen.too_fast else verdict

    def _answered(self, exchange: Exchange) -> Verdict:
        opened = self._open.pop(exchange.id, None)
        if opened is None or exchange.response is None:
            return ALLOWED
        answer = answer_of(exchange.response.value, exchange.arguments, opened.recipe)
        seen = self._ended(opened, answer)
        if _most(seen) < self._least_behind:
            return ALLOWED
        return strongest(self._behind_result(count) for count in _counts(opened.call, seen))

    def _ended(self, opened: _Open, answer: Answer | None) -> Sighting:
        return self.loops.end(opened.run, opened.call, answer, self._clock.monotonic(), counts=opened.counts)

    def _heard(self, response: Body | None) -> Verdict:
        """Whether a whole answer repeats itself. A short one is not even looked at."""
        least = SHORTEST * min((limit for limit, _ in self._text), default=0)
        if not least or response is None or not any(len(one) >= least for level in response.strings for one in level):
            return ALLOWED
        verdict, noted = ALLOWED, tuple[Verdict, ...]()
        for segment in response.segments:
            if segment.role is Role.ASSISTANT and len(segment.text) >= least:
                ear = Ear(self._text)
                verdict = strongest((verdict, ear.feed(segment.text)))
                noted += ear.noted
        return replace(verdict, by=self.name, shadow=noted) if noted else verdict

    def _recipe(self, tool: str, resource: Resource) -> Recipe:
        key = (resource.server, resource.name, resource.definition)
        recipe = self._known.get(key)
        if recipe is None:
            if len(self._known) >= _MOST_RECIPES:
                self._known.clear()
            recipe = self._known[key] = self._recipes.of(tool, self._said(resource))
        return recipe

    def _before_call(self, opened: _Open, count: _Count) -> Verdict:
        """What happens to a call that is about to be made, for one thing that was counted."""
        limit, decision = _reached(self._before[count.rule], count.times)
        if decision is Decision.ALLOW:
            return ALLOWED
        if self._grants.spend(opened.run, count.what):
            opened.counts = False
            return ALLOWED
        return self._verdict(decision, count, limit)

    def _behind_result(self, count: _Count) -> Verdict:
        """What is said behind the result of a call, for one thing that was counted."""
        limit, decision = _reached(self._behind[count.rule], count.times)
        if not limit:
            return ALLOWED
        told = self._verdict(Decision.WARN, count, limit)
        return told if decision is Decision.WARN else Verdict(Decision.ALLOW, by=self.name, shadow=(told,))

    def _verdict(self, decision: Decision, count: _Count, limit: int) -> Verdict:
        consequence = {
            Decision.WARN: f"from {limit} times on you are told so: try something else",
            Decision.HOLD: f"from {limit} times on a person must approve it",
            Decision.DENY: f"from {limit} times on it is refused: try something else",
            Decision.KILL: f"at {limit} times the session is stopped",
        }[decision]
        times = "once" if count.times == 1 else f"{count.times} times"
        reason = f"{count.told.replace('{times}', times)}: {consequence}"
        return Verdict(decision, by=self.name, rule=count.rule, reason=reason)

    def _rate(self, seen: Sighting) -> Verdict:
        if not seen.too_fast:
            return ALLOWED
        limit = self._numbers.rate_per_minute
        reason = f"more than {limit} calls within a minute in this session: wait a little"
        return Verdict(Decision.DENY, by=self.name, rule="loop.rate", reason=reason)


def _counts(call: Call, seen: Sighting) -> list[_Count]:
    """What was counted of a call, each with words for it."""
    told = f"`{call.tool}` was called {{times}} in this session with the same arguments and the same result"
    counts = [_Count("loop.repeat", seen.repeats, b"repeat" + call.key, told)]
    if seen.cycles:
        tools = ", ".join(f"`{tool}`" for tool in seen.tools)
        rounds = "round" if seen.period == 1 else f"{seen.period} rounds"
        told = f"the same {rounds} of calls ({tools}) went round {{times}} in this session with the same results"
        counts.append(_Count("loop.cycle", seen.cycles, b"cycle" + "\0".join(seen.tools).encode(), told))
    if seen.errors:
        told = f"`{call.tool}` failed {{times}} in a row in this session with the same error"
        counts.append(_Count("loop.error", seen.errors, b"error" + call.tool.encode(), told))
    return counts


def _ladders(numbers: Loop) -> tuple[dict[str, Rungs], dict[str, Rungs]]:
    """What happens before a call, and what is said behind its result, for each rule."""
    n = numbers
    stops = {
        "loop.repeat": (n.repeat_kill, n.repeat_deny, n.repeat_hold),
        "loop.cycle": (n.cycle_kill, n.cycle_deny, n.cycle_hold),
        "loop.error": (n.error_kill, n.error_deny, n.error_hold),
    }
    notes = {
        "loop.repeat": (n.repeat_warn, n.repeat_observe),
        "loop.cycle": (n.cycle_warn, n.cycle_observe),
        "loop.error": (n.error_warn, n.error_observe),
    }
    stopping, noting = (Decision.KILL, Decision.DENY, Decision.HOLD), (Decision.WARN, Decision.ALLOW)
    return (
        {rule: tuple(zip(limits, stopping, strict=True)) for rule, limits in stops.items()},
        {rule: tuple(zip(limits, noting, strict=True)) for rule, limits in notes.items()},
    )


def _least(ladder: Mapping[str, Rungs]) -> float:
    """The lowest rung of all."""
    return min((limit for rungs in ladder.values() for limit, _ in rungs if limit), default=math.inf)


def _most(seen: Sighting) -> int:
    """The highest of what was counted."""
    return max(seen.repeats, seen.cycles, seen.errors)


def _reached(rungs: Rungs, times: int) -> tuple[int, Decision]:
    """The strongest rung that is reached; a rung of 0 is switched off."""
    for limit, decision in rungs:
        if limit and times >= limit:
            return limit, decision
    return 0, Decision.ALLOW
