"""One rule made ready: who it is about, decided once for each name, and what must hold of a call.

What follows when several rules fit is `engine.py`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from governance import jsontree
from governance.exchange import Action, Exchange, Phase
from governance.jsontree import Json
from governance.policy.arguments import ArgumentTest, compile_test, pointers, same
from governance.policy.condition import (
    Activation,
    Around,
    Condition,
    Fault,
    Scene,
    activation,
    compile_condition,
    lasting_activation,
)
from governance.policy.glob import Globs
from governance.policy.rules import RESERVED, Grants, Match, Mode, Rule
from governance.verdict import Charter, Decision, Edit, Escalation, Leave, Verdict

REDACTED = "[REDACTED]"
_ARGUMENTS = "/params/arguments"

MCP_ACTIONS = frozenset(
    (
        Action.TOOL_CALL,
        Action.TOOL_LIST,
        Action.RESOURCE_READ,
        Action.PROMPT_GET,
        Action.SAMPLING_CREATE,
        Action.ELICITATION_CREATE,
        Action.COMPLETION,
        Action.PROMPT_LIST,
        Action.RESOURCE_LIST,
        Action.ROOTS_LIST,
        Action.SERVER_INFO,
        Action.MESSAGE,
    )
)
LLM_ACTIONS = frozenset((Action.LLM_GENERATE, Action.LLM_EMBED))
PASSIVE = frozenset(
    (
        Action.TOOL_LIST,
        Action.COMPLETION,
        Action.PROMPT_LIST,
        Action.RESOURCE_LIST,
        Action.ROOTS_LIST,
        Action.SERVER_INFO,
        Action.MESSAGE,
    )
)
"""What only looks or tells. A `hold` that names no action leaves it alone: nobody wants to approve a list."""

KEY_ACTIONS: Mapping[str, frozenset[Action]] = {
    "server": MCP_ACTIONS,
    "tool": frozenset((Action.TOOL_CALL,)),
    "annotations": frozenset((Action.TOOL_CALL,)),
    "resource": frozenset((Action.RESOURCE_READ, Action.PROMPT_GET)),
    "provider": LLM_ACTIONS,
    "model": LLM_ACTIONS,
}
"""What each key can be said of: a rule that names a tool is about calls of it, without saying so."""


class Names(NamedTuple):
    """Everything about an exchange that rules match by name; rules are picked once for each."""

    action: Action
    server: str
    tool: str
    provider: str
    model: str
    tenant: str
    team: str
    agent: str
    user: str


NAME_OF_KEY: Mapping[str, str] = {key: key for key in Names._fields[1:]} | {"resource": "tool"}
"""Which name each key of `match` looks at; tools, resources and prompts share one field."""

Outcome: TypeAlias = bool | Fault


def names_of(exchange: Exchange) -> Names:
    """The names of an exchange."""
    principal, resource = exchange.principal, exchange.resource
    return Names(
        exchange.action,
        resource.server,
        resource.name,
        resource.provider,
        resource.model,
        principal.tenant,
        principal.team,
        principal.agent,
        principal.user,
    )


@dataclass(slots=True)
class Look:
    """One exchange as the rules see it. The variables of conditions are made only when one is asked."""

    exchange: Exchange
    phase: Phase
    around: Callable[[], Around]
    names: Collection[str]
    """The variables that the conditions use."""
    _activation: Activation | None = field(default=None, init=False)
    _arguments: tuple[Json] | None = field(default=None, init=False)
    _labels: frozenset[str] | None = field(default=None, init=False)

    @property
    def arguments(self) -> Json:
        """The arguments, found once."""
        if self._arguments is None:
            self._arguments = (self.exchange.arguments,)
        return self._arguments[0]

    @property
    def labels(self) -> frozenset[str]:
        """What the session is labelled with, asked once."""
        if self._labels is None:
            self._labels = self.around().labels
        return self._labels

    @property
    def activation(self) -> Activation:
        """The variables of conditions."""
        if self._activation is None:
            self._activation = activation(Scene(self.exchange, self.phase, self.around), self.names)
        return self._activation


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule made ready."""

    id: str
    file: str
    lines: Mapping[str, int]
    """Line of every key of the rule by its dotted name; that of the rule itself under the empty one."""
    rule: Rule
    verdict: Verdict
    """What it says when it fits, made once."""
    actions: frozenset[Action]
    names: tuple[tuple[str, Globs], ...]
    """Key of `match` and what it must match."""
    annotations: tuple[tuple[str, Json], ...]
    findings: Globs | None
    labels: Globs | None
    all_labels: frozenset[str]
    adds: tuple[tuple[str, str], ...]
    """Labels that it sets, each with its own id."""
    args: tuple[ArgumentTest, ...]
    condition: Condition | None
    redact: tuple[tuple[str, ...], ...]

    @property
    def line(self) -> int:
        """The line on which it begins."""
        return self.lines.get("", 0)

    def line_of(self, key: str) -> int:
        """The line of a key such as `match.tool`, or of the nearest thing around it that the file holds."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines.get(key, 0)

    @property
    def decision(self) -> Decision:
        """What it decides."""
        return self.rule.decide

    @property
    def shadow(self) -> bool:
        """Whether it is only watched."""
        return self.rule.mode is Mode.SHADOW

    @property
    def permits(self) -> bool:
        """Whether it answers the question if the call may be made at all, so that the default has no say."""
        return self.decision in (Decision.ALLOW, Decision.HOLD) and not self.shadow and not self.rule.only_labels

    @property
    def asks_labels(self) -> bool:
        """Whether its answer depends on what the session is labelled with."""
        asks = self.labels is not None or self.all_labels
        return bool(asks) or (self.condition is not None and "session.labels" in self.condition.names)

    def about(self, names: Names) -> bool:
        """Whether the rule is about exchanges with these names."""
        return names.action in self.actions and all(
            globs.match(getattr(names, NAME_OF_KEY[key])) for key, globs in self.names
        )

    def fits(self, look: Look) -> Outcome:
        """Whether what the rule asks of this one exchange holds. Cheap questions come first."""
        if self.findings is not None and not self.finds(look.exchange):
            return False
        if self.annotations and not self.annotated(look.exchange):
            return False
        if (self.labels is not None or self.all_labels) and not self.labelled(look):
            return False
        for test in self.args:
            outcome = test.holds(look.arguments)
            if outcome is not True:
                return outcome
        return True if self.condition is None else self.condition.holds(look.activation)

    def always_fits(self, exchange: Exchange) -> bool:
        """Whether the rule fits, or is at fault, at every call of the tool. Names are known to fit."""
        if self.findings is not None or self.args or self.labels is not None or self.all_labels:
            return False
        if not self.annotated(exchange):
            return False
        answer = self._condition_for_every_call(exchange)
        return answer is True or answer in tuple(Fault)

    def may_fit(self, exchange: Exchange) -> bool:
        """Whether some call of the tool could fit; names are known to fit."""
        return self.annotated(exchange) and self._condition_for_every_call(exchange) in (True, None)

    def _condition_for_every_call(self, exchange: Exchange) -> Outcome | None:
        """The answer of the condition where it is the same for every call of the tool, else `None`."""
        if self.condition is None:
            return True
        if self.condition.constant is not None or not self.condition.lasting:
            return self.condition.constant
        return self.condition.holds(lasting_activation(exchange))

    def annotated(self, exchange: Exchange) -> bool:
        """Whether the tool's annotations are those that the rule asks for. A missing one never is."""
        have = exchange.resource.annotations
        return all(name in have and same(have[name], value) for name, value in self.annotations)

    def finds(self, exchange: Exchange) -> bool:
        """Whether anything of the kinds that the rule asks for was found."""
        return self.findings is not None and any(self.findings.match(one.kind) for one in exchange.findings)

    def labelled(self, look: Look) -> bool:
        """Whether the session has one of the labels that the rule names, and all of those it must have."""
        have = look.labels
        return self.all_labels <= have and (self.labels is None or any(self.labels.match(one) for one in have))

    def edits(self, exchange: Exchange, phase: Phase) -> list[Edit]:
        """What to blot out, in the body that is being judged."""
        if not self.redact:
            return []
        base, tree = _judged(exchange, phase)
        return [Edit(base + pointer, 0, -1, REDACTED) for steps in self.redact for pointer in pointers(tree, steps)]

    def faulted(self, fault: Fault) -> Verdict:
        """What the rule says when it could not be evaluated: refused, in words that no rule may use itself."""
        reason = f"{RESERVED}{fault.value}: rule `{self.id}` could not be applied to this call, so it is refused"
        return Verdict(Decision.DENY, by="policy", rule=self.id, reason=reason, version=self.verdict.version)


def _judged(exchange: Exchange, phase: Phase) -> tuple[str, Json]:
    """Where the pointers of `redact` start, and the tree there."""
    if phase is Phase.RESPONSE:
        return "", exchange.response.value if exchange.response is not None else None
    return (_ARGUMENTS if exchange.action is Action.TOOL_CALL else ""), exchange.arguments


def outermost(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Each place once, and none inside another that is blotted out as a whole."""
    places = {edit.pointer: edit for edit in edits}
    return tuple(
        edit
        for pointer, edit in places.items()
        if not any(pointer[:cut] in places for cut, char in enumerate(pointer) if char == "/")
    )


def compile_rule(rule: Rule, *, file: str, lines: Mapping[str, int], version: str) -> CompiledRule:
    """Make a rule ready.

    Raises:
        ConditionError: its condition is wrong.
    """
    match = rule.match
    names = tuple((key, Globs(value)) for key in NAME_OF_KEY if (value := getattr(match, key)))
    reason = rule.reason or _reason(rule)
    verdict = Verdict(
        rule.decide,
        by="policy",
        rule=rule.id,
        reason=reason,
        version=version,
        detached=rule.run_detached,
        charters=_charters(rule),
        leaves=(leave(rule.id, rule.grants, _digest(rule)),) if rule.decide is Decision.HOLD else (),
    )
    return CompiledRule(
        id=rule.id,
        file=file,
        lines=lines,
        rule=rule,
        verdict=verdict,
        actions=_actions(rule),
        names=names,
        annotations=tuple(match.annotations.items()),
        findings=Globs(match.findings) if match.findings else None,
        labels=Globs(match.labels) if match.labels else None,
        all_labels=frozenset(match.all_labels),
        adds=tuple((label, rule.id) for label in rule.add_labels),
        args=tuple(compile_test(pointer, comparison) for pointer, comparison in match.args.items()),
        condition=compile_condition(rule.when) if rule.when else None,
        redact=tuple(tuple(jsontree.steps(pointer)) for pointer in rule.redact),
    )


def _actions(rule: Rule) -> frozenset[Action]:
    match: Match = rule.match
    if match.action:
        globs = Globs(match.action)
        actions = frozenset(action for action in Action if globs.match(action.value))
    else:
        actions = frozenset(Action)
        if match.args:
            actions = frozenset((Action.TOOL_CALL,))
        if rule.decide is Decision.HOLD:
            actions -= PASSIVE
    for key, possible in KEY_ACTIONS.items():
        if getattr(match, key):
            actions &= possible
    return actions


def leave(rule: str, grants: Grants, digest: str) -> Leave:
    """What a rule lets people allow beyond the call that it holds."""
    return Leave(rule, digest, grants.allow, int(grants.hours * 3600), grants.uses)


def _digest(rule: Rule) -> str:
    """Of a rule as it is written: layout and comments do not count, and neither do other rules."""
    return jsontree.digest(rule.model_dump(mode="json", exclude_unset=True))


def _charters(rule: Rule) -> tuple[Charter, ...]:
    later = rule.escalate
    escalation = None if later is None else Escalation(later.after, tuple(sorted(set(later.to))), later.replace)
    charter = Charter(tuple(sorted(set(rule.approvers))), rule.quorum, rule.no_self_approval, escalation)
    return () if charter == Charter() else (charter,)


def _reason(rule: Rule) -> str:
    says = {
        Decision.ALLOW: "allowed by",
        Decision.WARN: "noted by",
        Decision.REDACT: "redacted by",
        Decision.HOLD: "a person must approve this: asked for by",
        Decision.DENY: "refused by",
        Decision.KILL: "the session is stopped by",
    }
    return f"{says[rule.decide]} policy rule `{rule.id}`"
