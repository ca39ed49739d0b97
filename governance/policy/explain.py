"""Why a policy says what it says: each rule with its answer, for a person.

Not for the path of exchanges. It names keys and rules and never repeats an argument.
"""

from collections.abc import Callable
from dataclasses import dataclass

from governance.exchange import Exchange, Phase
from governance.policy.compiled import NAME_OF_KEY, CompiledRule, Look, names_of
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.verdict import Decision, Verdict


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """What one rule says of an exchange."""

    rule: str
    file: str
    line: int
    decision: Decision
    """What it decides where it fits."""
    shadow: bool
    outcome: str
    """`fits`, `no` or `fault`."""
    why: str
    """The part of the rule that made it so."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on an exchange and what each rule had to do with it."""

    verdict: Verdict
    answers: tuple[RuleAnswer, ...]


def explain(policy: Policy, exchange: Exchange, phase: Phase, around: Callable[[], Around]) -> Explanation:
    """The verdict of a policy, and each rule's answer in the order of the files."""
    look = Look(exchange, phase, around, policy.variables)
    answers = [_answer(rule, look) for rule in policy.rules]
    return Explanation(policy.judge(exchange, phase, around), tuple(answers))


def _answer(rule: CompiledRule, look: Look) -> RuleAnswer:
    outcome, why = _asked(rule, look)
    return RuleAnswer(rule.id, rule.file, rule.line, rule.decision, rule.shadow, outcome, why)


def _asked(rule: CompiledRule, look: Look) -> tuple[str, str]:
    if rule.rule.phase is not look.phase:
        return "no", f"it is about the {rule.rule.phase.value}"
    names = names_of(look.exchange)
    if names.action not in rule.actions:
        return "no", f"it is not about `{names.action.value}`"
    for key, globs in rule.names:
        if not globs.match(getattr(names, NAME_OF_KEY[key])):
            return "no", f"`{key}` is not {globs}"
    if rule.annotations and not rule.annotated(look.exchange):
        return "no", "the tool's `annotations` differ"
    if rule.findings is not None and not rule.finds(look.exchange):
        return "no", f"nothing of kind {rule.findings} was found"
    if (rule.labels is not None or rule.all_labels) and not rule.labelled(look):
        return "no", "the session does not have the `labels`"
    return _asked_of_the_call(rule, look)


def _asked_of_the_call(rule: CompiledRule, look: Look) -> tuple[str, str]:
    for test in rule.args:
        outcome = test.holds(look.arguments)
        if outcome is False:
            return "no", f"the argument `{test.pointer}` does not fit"
        if outcome is not True:
            return "fault", f"the argument `{test.pointer}` is of another type than the rule expects"
    if rule.condition is not None:
        held = rule.condition.holds(look.activation)
        if held is False:
            return "no", "`when` is false"
        if held is not True:
            return "fault", f"`when` could not be evaluated ({held.value.replace('_', ' ')})"
    return "fits", "everything in it holds"
