"""All rules together: which are asked about an exchange, and what follows from their answers.

Pure and synchronous. The order of the rules never matters: the strongest verdict wins, and a rule that cannot be
evaluated refuses. Reading files is `load.py`, following them while they change is `holder.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from governance.exchange import Action, Exchange, Phase
from governance.policy.compiled import CompiledRule, Look, Names, leave, names_of, outermost
from governance.policy.condition import Around, Fault
from governance.policy.rules import Grants
from governance.verdict import Decision, Edit, Verdict, charters_of, leaves_of, strongest

DEFAULT_RULE = "default"
"""Id under which the default decides."""

_REMEMBERED = 4096
"""How many sets of names the choice of rules is remembered for."""
_REMEMBERED_CHARACTERS = 512
"""Names longer than this together are not remembered: a client chooses them, and memory must stay bounded."""


class Policy:
    """The rules of all files, ready to judge. Frozen after it is made; a change makes a new one."""

    def __init__(self, rules: Iterable[CompiledRule], *, default: Decision, version: str) -> None:
        self.rules = tuple(rules)
        self.default = default
        """What happens to a tool call that no `allow` and no `hold` rule speaks for."""
        self.version = version
        """SHA-256 of the canonical source: equal for files that differ only in comments and layout."""
        self._allowed = Verdict(Decision.ALLOW, by="policy", version=version)
        reason = "no policy rule allows this call"
        asks = (leave(DEFAULT_RULE, Grants(), DEFAULT_RULE),) if default is Decision.HOLD else ()
        self._unmatched = Verdict(default, by="policy", rule=DEFAULT_RULE, reason=reason, version=version, leaves=asks)
        self.holding = frozenset(one.digest for one in (*asks, *leaves_of(rule.verdict for rule in self.rules)))
        """Digests of the rules that hold: what was allowed of any other rule is allowed no more."""
        self.variables = frozenset(name for rule in self.rules if rule.condition for name in rule.condition.names)
        """The variables that any condition uses."""
        self._by_place: dict[tuple[Phase, Action], tuple[CompiledRule, ...]] = {
            (phase, action): tuple(rule for rule in self.rules if rule.rule.phase is phase and action in rule.actions)
            for phase in Phase
            for action in Action
        }
        self._asking_labels = frozenset(
            place for place, rules in self._by_place.items() if any(rule.asks_labels for rule in rules)
        )
        self._chosen: dict[tuple[Phase, Names], tuple[CompiledRule, ...]] = {}

    def judge(
        self, exchange: Exchange, phase: Phase, around: Callable[[], Around], heard: list[Verdict] | None = None
    ) -> Verdict:
        """What the rules say of one phase of an exchange.

        Args:
            exchange: what is judged.
            phase: which half of it.
            around: called at most once, when a condition needs the time or the session's history.
            heard: gets what each rule in force says that fits or cannot be evaluated, whether it decides or not.
        """
        said: list[Verdict] = []
        shadow: list[Verdict] = []
        edits: list[Edit] = []
        labelling: list[CompiledRule] = []
        permitted = False
        look = Look(exchange, phase, around, self.variables)
        for rule in self.about(phase, names_of(exchange)):
            outcome = rule.fits(look)
            if outcome is False:
                continue
            verdict = rule.verdict if outcome is True else rule.faulted(Fault(outcome))
            if rule.shadow:
                shadow.append(verdict)
                continue
            if heard is not None:
                heard.append(verdict)
            if outcome is True:
                permitted = permitted or rule.permits
                changes = rule.edits(exchange, phase)
                edits += changes
                if rule.adds:
                    labelling.append(rule)
                if rule.rule.only_labels or (verdict.decision is Decision.REDACT and not changes):
                    continue
            said.append(verdict)
        if not permitted and self.default_speaks(exchange, phase):
            said.append(self._unmatched)
        winner = strongest(said) if said else self._allowed
        if winner.detached and not all(one.detached for one in said if one.decision is Decision.HOLD):
            winner = replace(winner, detached=False)  # every rule that holds must let its client go
        if winner.decision is Decision.HOLD and len(said) > 1:  # whoever decides must suit every rule that holds
            also = tuple(one.rule for one in said if one.decision is Decision.HOLD and one is not winner)
            winner = replace(winner, charters=charters_of(said), also=also, leaves=leaves_of(said))
        labels = _added(labelling, winner.decision) if labelling else ()
        if edits or shadow or labels:
            return replace(winner, edits=outermost(edits), shadow=tuple(shadow), labels=labels)
        return winner

    def asks_labels(self, phase: Phase, action: Action) -> bool:
        """Whether a rule about such exchanges depends on what their session is labelled with."""
        return (phase, action) in self._asking_labels

    def visible(self, exchange: Exchange) -> bool:
        """Whether any call of the tool could be allowed, perhaps by a person. Decides what a list shows.

        Only what holds for every call counts: rules on arguments, findings, the time or the history never hide a tool,
        and neither does `hold` or a rule in shadow mode.
        """
        names = names_of(exchange)
        if names.action is Action.TOOL_LIST:
            names = names._replace(action=Action.TOOL_CALL)
        rules = [rule for rule in self.about(Phase.REQUEST, names) if not rule.shadow]
        refusing = (rule for rule in rules if rule.decision.strength >= Decision.DENY.strength)
        if any(rule.always_fits(exchange) for rule in refusing):
            return False
        if self.default is not Decision.DENY or names.action is not Action.TOOL_CALL:
            return True
        return any(rule.permits and rule.may_fit(exchange) for rule in rules)

    @property
    def about_responses(self) -> bool:
        """Whether any rule is about what comes back."""
        return any(rule.rule.phase is Phase.RESPONSE for rule in self.rules)

    @property
    def remembered(self) -> int:
        """For how many sets of names the choice of rules is remembered: what the bound is about."""
        return len(self._chosen)

    def default_speaks(self, exchange: Exchange, phase: Phase) -> bool:
        """Whether the default decides where no rule permits: about tool calls alone."""
        return self.default is not Decision.ALLOW and phase is Phase.REQUEST and exchange.action is Action.TOOL_CALL

    def about(self, phase: Phase, names: Names) -> tuple[CompiledRule, ...]:
        """The rules whose names fit. Worked out once for each set of names, because that is most of the work."""
        rules = self._chosen.get((phase, names))
        if rules is None:
            rules = tuple(rule for rule in self._by_place[phase, names.action] if rule.about(names))
            if sum(map(len, names)) <= _REMEMBERED_CHARACTERS:
                if len(self._chosen) >= _REMEMBERED:
                    self._chosen.clear()
                self._chosen[phase, names] = rules
        return rules


def _added(rules: Iterable[CompiledRule], decided: Decision) -> tuple[tuple[str, str], ...]:
    """The labels that rules set. Of what is refused nothing is seen: there only rules that refuse label the attempt."""
    refused = decided.strength >= Decision.DENY.strength
    return tuple(
        one for rule in rules if not refused or rule.decision.strength >= Decision.DENY.strength for one in rule.adds
    )
