"""What the page of policies shows: how often each rule spoke, and what rules in shadow mode would have done. Pure.

The counts are noted by `governance/history/ledger.py`. They are for people who change a policy, and never proof.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from console import figures
from console.figures import Column, Period
from governance.history.store import Counted
from governance.history.versions import by_key
from governance.policy.compiled import CompiledRule
from governance.policy.engine import DEFAULT_RULE, Policy
from sessions.index.counts import store as index

PERIOD = Period.DAY
EXAMPLES = 3
_APART = frozenset({"decide", "mode", "reason"})
"""Keys of a rule that have a place of their own on the page."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A rule, and how often it spoke in the last day."""

    id: str
    place: str
    """File and line; empty for the default."""
    about: tuple[tuple[str, str], ...]
    """What it matches and asks, as key and value; nothing for a rule about everything."""
    decision: str
    """Empty where it decides nothing and only labels."""
    reason: str
    shadow: bool
    fitted: int
    decided: int
    examples: tuple[str, ...]
    """The newest exchanges that it decided or, in shadow mode, would have; newest first."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a rule in shadow mode would have decided, hour by hour."""

    id: str
    columns: list[Column]
    examples: tuple[str, ...]

    @property
    def total(self) -> int:
        """How often it would have decided something."""
        return sum(one.total for one in self.columns)


@dataclass(frozen=True, slots=True)
class Rulings:
    """Rules in force in the order of their files, the default last; and what else spoke in that time."""

    rules: list[Ruling]
    shadows: list[Shadow]
    gone: list[Ruling]
    """Rules that spoke and are in force no more."""


def since(now: datetime) -> str:
    """The hour with which the counts of the last day begin, as the counts name it."""
    return f"{PERIOD.since(now):%Y-%m-%dT%H}"


def rulings(policy: Policy, found: Sequence[Counted], now: datetime) -> Rulings:
    """The rules of a policy with their counts."""
    by_rule: dict[str, list[Counted]] = {}
    for one in found:
        by_rule.setdefault(one.spoke.rule, []).append(one)
    rules = [_of_rule(rule, by_rule.get(rule.id, ())) for rule in policy.rules]
    about = (("tool calls", "for which no allow and no hold rule fits"),)
    default = by_rule.get(DEFAULT_RULE, ())
    rules.append(_ruling(DEFAULT_RULE, default, about=about, decision=policy.default.value))
    shadows = [_shadow(rule.id, by_rule.get(rule.id, ()), now) for rule in policy.rules if rule.shadow]
    known = {rule.id for rule in rules}
    gone = [_ruling(name, counts) for name, counts in sorted(by_rule.items()) if name not in known]
    return Rulings(rules, shadows, gone)


def _of_rule(rule: CompiledRule, counts: Sequence[Counted]) -> Ruling:
    about = tuple((key, value) for key, value in by_key(rule).items() if key not in _APART)
    decision = "" if rule.rule.only_labels else rule.decision.value
    place = f"{rule.file}:{rule.line}"
    return _ruling(
        rule.id, counts, place=place, about=about, decision=decision, reason=rule.rule.reason, shadow=rule.shadow
    )


def _ruling(
    name: str,
    counts: Sequence[Counted],
    *,
    place: str = "",
    about: tuple[tuple[str, str], ...] = (),
    decision: str = "",
    reason: str = "",
    shadow: bool = False,
) -> Ruling:
    sums: Counter[str] = Counter()
    for one in counts:
        sums[one.spoke.part] += one.count
    # A rule in shadow mode, and the default, are not counted as fitting beside what they decided.
    fitted = max(sums["fitted"] + sums["shadow"], sums["decided"])
    return Ruling(name, place, about, decision, reason, shadow, fitted, sums["decided"], _newest(counts))


def _shadow(name: str, counts: Sequence[Counted], now: datetime) -> Shadow:
    spoke = [one for one in counts if one.spoke.part == "shadow"]
    by_hour = [index.Counted(one.spoke.hour, one.spoke.decision, one.count) for one in spoke]
    return Shadow(name, figures.columns(by_hour, PERIOD, now), _newest(spoke))


def _newest(counts: Iterable[Counted]) -> tuple[str, ...]:
    """The newest examples, newest first; `counts` go from the oldest hour to the newest."""
    named = [name for one in counts for name in one.examples]
    return tuple(dict.fromkeys(reversed(named)))[:EXAMPLES]
