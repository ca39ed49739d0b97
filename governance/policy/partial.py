"""Judging an exchange of which not everything is known: what a rule may answer, and whether the decision hangs on it.

For people who look back (`explain.py`, `governance/history`), never for the path of exchanges. Nothing is guessed: a
rule that reads something unknown may answer anything, and a decision counts only if it is the same whatever it answers.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from governance import jsontree
from governance.exchange import Exchange, Phase
from governance.policy.arguments import EVERY, ArgumentTest
from governance.policy.compiled import NAME_OF_KEY, CompiledRule, Look, Outcome, names_of
from governance.policy.condition import Around, Condition, Fault, Scene, activation
from governance.policy.engine import DEFAULT_RULE, Policy
from governance.verdict import Decision, Verdict, strongest

KINDS = "findings.kinds"
"""Name under which it is said that not even the kinds of what was found are known."""

_NOTHING: Mapping[str, str] = MappingProxyType({})
_MEMBER = re.compile(r"(?<![\w.])args\b(?:\s*\.\s*(\w+)(?!\w)(?!\s*\())?")
"""Where a condition reads arguments: by the name of a member, or (without a group) all of them."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is not known of an exchange."""

    unknown: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Why a variable of conditions (`governance.policy.condition.VARIABLES`) is not known; `args`, `session.labels`
    and `tool.annotations` stand for those keys of `match` too, and `findings.kinds` for `findings`."""
    masked: tuple[str, ...] = ()
    """Pointers of arguments that are known to stand there, and not what they are."""
    masked_why: str = "was masked before it was kept"

    @property
    def anything(self) -> bool:
        """Whether anything at all is missing."""
        return bool(self.unknown or self.masked)


NO_GAPS = Gaps()

Outcomes: TypeAlias = frozenset[Outcome]

_YES: Outcomes = frozenset((True,))
_NO: Outcomes = frozenset((False,))
_EITHER: Outcomes = frozenset((True, False))
_ANYTHING: Outcomes = frozenset((True, False, Fault.FAILED))


class Asked(NamedTuple):
    """What a rule may answer, and the part of it that makes it so."""

    outcomes: Outcomes
    why: str

    @property
    def known(self) -> bool:
        """Whether there is one answer only."""
        return len(self.outcomes) == 1


def ask(rule: CompiledRule, look: Look, gaps: Gaps = NO_GAPS) -> Asked:
    """What a rule answers about an exchange, in the order in which it asks."""
    apart = _apart(rule, look)
    if apart:
        return Asked(_NO, apart)
    possible: set[Outcome] = set()
    lacking: list[str] = []
    for outcomes, why in _steps(rule, look, gaps):
        if outcomes == _YES:
            continue
        possible |= outcomes - _YES
        if True not in outcomes:
            return Asked(frozenset(possible), "; ".join((*lacking, why)))
        lacking.append(why)
    return Asked(frozenset((*possible, True)), "; ".join(lacking) or "everything in it holds")


def _apart(rule: CompiledRule, look: Look) -> str:
    """Why a rule is not about exchanges with these names; empty where it is. Names are always known."""
    if rule.rule.phase is not look.phase:
        return f"it is about the {rule.rule.phase.value}"
    names = names_of(look.exchange)
    if names.action not in rule.actions:
        return f"it is not about `{names.action.value}`"
    for key, globs in rule.names:
        if not globs.match(getattr(names, NAME_OF_KEY[key])):
            return f"`{key}` is not {globs}"
    return ""


def _steps(rule: CompiledRule, look: Look, gaps: Gaps) -> Iterator[tuple[Outcomes, str]]:
    """What each question of a rule may be answered, in the order of `CompiledRule.fits`."""
    if rule.findings is not None:
        yield _said(gaps, KINDS, rule.finds(look.exchange), f"nothing of kind {rule.findings} was found")
    if rule.annotations:
        yield _said(gaps, "tool.annotations", rule.annotated(look.exchange), "the tool's `annotations` differ")
    if rule.labels is not None or rule.all_labels:
        if "session.labels" in gaps.unknown:
            yield _EITHER, gaps.unknown["session.labels"]
        else:
            yield frozenset((rule.labelled(look),)), "the session does not have the `labels`"
    for test in rule.args:
        yield _of_argument(test, look, gaps)
    if rule.condition is not None:
        yield _of_condition(rule.condition, look, gaps)


def _said(gaps: Gaps, name: str, answer: bool, why: str) -> tuple[Outcomes, str]:
    return (_EITHER, gaps.unknown[name]) if name in gaps.unknown else (frozenset((answer,)), why)


def _of_argument(test: ArgumentTest, look: Look, gaps: Gaps) -> tuple[Outcomes, str]:
    if "args" in gaps.unknown:
        return _ANYTHING, gaps.unknown["args"]
    for pointer in gaps.masked:
        steps = tuple(jsontree.steps(pointer))
        if not _meet(steps, test.steps):
            continue
        if test.kinds is None and len(steps) >= len(test.steps):
            continue  # only asks whether something stands there, and something does
        return _ANYTHING, f"the argument `{pointer}` {gaps.masked_why}"
    outcome = test.holds(look.arguments)
    if outcome is False:
        return _NO, f"the argument `{test.pointer}` does not fit"
    return frozenset((outcome,)), f"the argument `{test.pointer}` is of another type than the rule expects"


def _meet(steps: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether one place is the other, or around it, or inside it."""
    return all(asked in (EVERY, step) for step, asked in zip(steps, pattern, strict=False))


def _of_condition(condition: Condition, look: Look, gaps: Gaps) -> tuple[Outcomes, str]:
    missing = {name: why for name, why in gaps.unknown.items() if name in condition.names}
    if "args" in condition.names and "args" not in missing and (masked := _reads(condition.source, gaps.masked)):
        missing["args"] = f"the argument `{masked}` {gaps.masked_why}"
    if not missing:
        held = condition.holds(look.activation)
    else:
        # A name that stands for nothing is an error in CEL, and what is true or false in spite of an error is so
        # whatever the name stood for: only `&&`, `||` and `?:` pass an error over.
        scene = Scene(look.exchange, look.phase, look.around)
        held = condition.holds(activation(scene, condition.names - missing.keys()))
        if held not in (True, False):
            return _ANYTHING, "; ".join(dict.fromkeys(missing.values()))
    if held is False:
        return _NO, "`when` is false"
    said = held.value.replace("_", " ") if isinstance(held, Fault) else ""
    return frozenset((held,)), f"`when` could not be evaluated ({said})"


def _reads(source: str, masked: tuple[str, ...]) -> str:
    """A masked argument that a condition may read; empty if it surely reads none."""
    names = [found[1] for found in _MEMBER.finditer(source)]
    for pointer in masked:
        if None in names or not names or jsontree.steps(pointer)[0] in names:
            return pointer
    return ""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a policy decides about an exchange of which not everything is known."""

    decision: Decision | None
    """`None` where it hangs on what is not known."""
    rule: str
    """The rule that decides; empty where none spoke or the decision is not known."""
    lacks: tuple[tuple[str, str], ...] = ()
    """Rules that may answer this or that, each with why."""
    shadow: tuple[tuple[str, Decision], ...] = ()
    """What rules in shadow mode would certainly have decided."""


def weigh(
    policy: Policy, exchange: Exchange, phase: Phase, around: Callable[[], Around], gaps: Gaps = NO_GAPS
) -> Weighed:
    """What a policy decides, as far as that can be known."""
    if not gaps.anything:
        verdict = policy.judge(exchange, phase, around)
        return Weighed(verdict.decision, verdict.rule, (), tuple((one.rule, one.decision) for one in verdict.shadow))
    look = Look(exchange, phase, around, policy.variables)
    states: set[_State] = {(None, False)}
    said: list[Verdict] = []
    lacks: list[tuple[str, str]] = []
    shadow: list[tuple[str, Decision]] = []
    for rule in policy.about(phase, names_of(exchange)):
        asked = ask(rule, look, gaps)
        if rule.shadow:
            shadow += _watched(rule, asked)
            continue
        ways = {way for outcome in asked.outcomes for way in _ways(rule, outcome, look, gaps)}
        if len(ways) > 1:
            lacks.append((rule.id, asked.why if not asked.known else "what it redacts is not known"))
        spoken = [_verdict(rule, decision) for decision, _ in ways if decision is not None]
        said = [*said, *spoken] if len(ways) > 1 else [*spoken, *said]  # who certainly speaks gives the name
        states = {_joined(state, way) for state in states for way in ways}
    return _settled(policy, exchange, phase, states, said, lacks, shadow)


_State: TypeAlias = tuple[Decision | None, bool]
"""The strongest decision so far, and whether a rule permits."""


def _ways(rule: CompiledRule, outcome: Outcome, look: Look, gaps: Gaps) -> list[_State]:
    """What an answer of a rule may add."""
    if outcome is False:
        return [(None, False)]
    if outcome is not True:
        return [(Decision.DENY, False)]
    if rule.rule.only_labels:
        return [(None, False)]
    if rule.decision is not Decision.REDACT:
        return [(rule.decision, rule.permits)]
    if look.phase is Phase.RESPONSE and "result" in gaps.unknown:
        return [(None, False), (Decision.REDACT, False)]
    over = any(len(jsontree.steps(one)) < len(steps) and _meet(tuple(jsontree.steps(one)), steps)
               for one in gaps.masked for steps in rule.redact)  # fmt: skip
    if look.phase is Phase.REQUEST and ("args" in gaps.unknown or over):
        return [(None, False), (Decision.REDACT, False)]
    return [(Decision.REDACT if rule.edits(look.exchange, look.phase) else None, False)]


def _joined(state: _State, way: _State) -> _State:
    decision, permitted = state
    added, permits = way
    if decision is None or (added is not None and added.strength > decision.strength):
        decision = added
    return decision, permitted or permits


def _verdict(rule: CompiledRule, decision: Decision) -> Verdict:
    return rule.verdict if decision is rule.decision else rule.faulted(Fault.FAILED)


def _watched(rule: CompiledRule, asked: Asked) -> list[tuple[str, Decision]]:
    if False in asked.outcomes or not asked.known:
        return []
    return [(rule.id, rule.decision if asked.outcomes == _YES else Decision.DENY)]


def _settled(
    policy: Policy,
    exchange: Exchange,
    phase: Phase,
    states: set[_State],
    said: list[Verdict],
    lacks: list[tuple[str, str]],
    shadow: list[tuple[str, Decision]],
) -> Weighed:
    speaks = policy.default_speaks(exchange, phase)
    decisions = {
        _joined((decision, permitted), (policy.default, False))[0] if speaks and not permitted else decision
        for decision, permitted in states
    }
    final = {one or Decision.ALLOW for one in decisions}
    if len(final) > 1:
        return Weighed(None, "", tuple(lacks), tuple(shadow))
    (decision,) = final
    certain = [one for one in said if one.decision is decision]
    rule = strongest(certain).rule if certain else DEFAULT_RULE if speaks and decision is policy.default else ""
    return Weighed(decision, rule, tuple(lacks), tuple(shadow))
