"""Why a policy says what it says: each rule with its answer, for a person.

Not for the path of exchanges. It names keys and rules and never repeats an argument.
"""

from collections.abc import Callable
from dataclasses import dataclass

from governance.exchange import Exchange, Phase
from governance.policy.compiled import CompiledRule, Look
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.policy.partial import NO_GAPS, Asked, Gaps, ask
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
    """`fits`, `no`, `fault`, or `unknown` where it hangs on something that is not known."""
    why: str
    """The part of the rule that made it so."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on an exchange and what each rule had to do with it."""

    verdict: Verdict
    answers: tuple[RuleAnswer, ...]


def explain(policy: Policy, exchange: Exchange, phase: Phase, around: Callable[[], Around]) -> Explanation:
    """The verdict of a policy, and each rule's answer in the order of the files."""
    return Explanation(policy.judge(exchange, phase, around), answers(policy, exchange, phase, around))


def answers(
    policy: Policy, exchange: Exchange, phase: Phase, around: Callable[[], Around], gaps: Gaps = NO_GAPS
) -> tuple[RuleAnswer, ...]:
    """Each rule's answer, as far as what is known of the exchange allows one."""
    look = Look(exchange, phase, around, policy.variables)
    return tuple(_answer(rule, ask(rule, look, gaps)) for rule in policy.rules)


def _answer(rule: CompiledRule, asked: Asked) -> RuleAnswer:
    outcome = "unknown"
    if asked.known:
        (only,) = asked.outcomes
        outcome = "fits" if only is True else "no" if only is False else "fault"
    return RuleAnswer(rule.id, rule.file, rule.line, rule.decision, rule.shadow, outcome, asked.why)
