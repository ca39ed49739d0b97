"""The `when:` of a rule: a CEL expression, checked against typed variables when it is loaded.

CEL (https://cel.dev) always ends, has no side effects, and its `matches` runs on RE2. Each variable is declared by
its whole dotted name, so a misspelt one is an error with line and column at load and never a surprise at a call.
Which rules have conditions, and what follows from them, is `compiled.py`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TypeAlias

import cel_expr_python.cel as cel

from governance import jsontree
from governance.exchange import Exchange, Phase
from governance.jsontree import Json


@dataclass(frozen=True, slots=True)
class Around:
    """What a condition may ask that does not stand in the exchange."""

    now: datetime
    """The time of the judgement, aware."""
    calls: int
    """Tool calls that this process saw of the session before this one."""
    labels: frozenset[str] = frozenset()
    """What the session is labelled with."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a condition may ask."""

    exchange: Exchange
    phase: Phase
    around: Callable[[], Around]


@dataclass(frozen=True, slots=True)
class Variable:
    """One name that conditions know."""

    kind: str
    """Its CEL type."""
    per_call: bool
    """Whether it differs from call to call of one tool by one principal in one session."""
    value: Callable[[Scene], object]


def _fact(scene: Scene, name: str) -> str:
    return jsontree.as_text(scene.exchange.facts.get(name))


def _result(scene: Scene) -> Json:
    return scene.exchange.response.value if scene.exchange.response is not None else None


def _findings(scene: Scene) -> list[dict[str, str]]:
    return [
        {"kind": one.kind, "rule": one.rule, "pointer": one.pointer, "role": one.role, "action": one.action}
        for one in scene.exchange.findings
    ]


VARIABLES: Mapping[str, Variable] = {
    "exchange.id": Variable("string", True, lambda scene: scene.exchange.id),
    "exchange.action": Variable("string", False, lambda scene: scene.exchange.action.value),
    "exchange.phase": Variable("string", True, lambda scene: scene.phase.value),
    "exchange.plane": Variable("string", False, lambda scene: _fact(scene, "plane")),
    "exchange.transport": Variable("string", False, lambda scene: _fact(scene, "transport")),
    "exchange.client": Variable("string", False, lambda scene: _fact(scene, "client")),
    "exchange.facts": Variable("map(string, dyn)", True, lambda scene: dict(scene.exchange.facts)),
    "exchange.server": Variable("string", False, lambda scene: scene.exchange.resource.server),
    "exchange.provider": Variable("string", False, lambda scene: scene.exchange.resource.provider),
    "exchange.model": Variable("string", False, lambda scene: scene.exchange.resource.model),
    "principal.key_id": Variable("string", False, lambda scene: scene.exchange.principal.key_id),
    "principal.tenant": Variable("string", False, lambda scene: scene.exchange.principal.tenant),
    "principal.team": Variable("string", False, lambda scene: scene.exchange.principal.team),
    "principal.agent": Variable("string", False, lambda scene: scene.exchange.principal.agent),
    "principal.user": Variable("string", False, lambda scene: scene.exchange.principal.user),
    "principal.provenance": Variable(
        "map(string, string)", False, lambda scene: dict(scene.exchange.principal.provenance)
    ),
    "tool.server": Variable("string", False, lambda scene: scene.exchange.resource.server),
    "tool.name": Variable("string", False, lambda scene: scene.exchange.resource.name),
    "tool.definition": Variable("string", False, lambda scene: scene.exchange.resource.definition),
    "tool.annotations": Variable("map(string, dyn)", False, lambda scene: dict(scene.exchange.resource.annotations)),
    "session.id": Variable("string", False, lambda scene: scene.exchange.session.id),
    "session.evidence": Variable("string", False, lambda scene: scene.exchange.session.evidence),
    "session.rank": Variable("int", False, lambda scene: scene.exchange.session.rank),
    "session.verified": Variable("bool", False, lambda scene: scene.exchange.session.verified),
    "session.calls": Variable("int", True, lambda scene: scene.around().calls),
    "session.labels": Variable("list(string)", True, lambda scene: sorted(scene.around().labels)),
    "args": Variable("map(string, dyn)", True, lambda scene: scene.exchange.arguments),
    "result": Variable("dyn", True, _result),
    "findings": Variable("list(map(string, dyn))", True, _findings),
    "now": Variable("timestamp", True, lambda scene: scene.around().now),
}
"""Every name a condition may use. One that differs per call cannot hide a tool from a list."""

_PLACE = re.compile(r"<input>:(\d+):(\d+): (.*)")


Activation: TypeAlias = cel.Activation
"""The variables of one exchange, ready for any number of conditions."""


class Fault(StrEnum):
    """Why a rule could not be evaluated: reserved reasons, which no rule may give itself."""

    MISSING = "condition_names_missing_member"
    TYPES = "condition_mixes_types"
    FAILED = "condition_failed"
    ARGUMENT = "argument_of_another_type"


class ConditionError(ValueError):
    """A condition that does not compile, with the place inside it."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        self.line = line
        self.column = column
        super().__init__(message)


@cache
def _environment(*, per_call: bool) -> cel.Env:
    text, anything = cel.Type.STRING, cel.Type.DYN
    types = {
        "string": text,
        "int": cel.Type.INT,
        "bool": cel.Type.BOOL,
        "timestamp": cel.Type.TIMESTAMP,
        "dyn": anything,
        "map(string, string)": cel.Type.Map(text, text),
        "map(string, dyn)": cel.Type.Map(text, anything),
        "list(string)": cel.Type.List(text),
        "list(map(string, dyn))": cel.Type.List(cel.Type.Map(text, anything)),
    }
    known = {name: one for name, one in VARIABLES.items() if per_call or not one.per_call}
    return cel.NewEnv(variables={name: types[one.kind] for name, one in known.items()})


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled `when:`."""

    source: str
    program: cel.Expression
    names: frozenset[str]
    """The variables it uses, and perhaps more."""
    lasting: bool
    """Whether it speaks only of who asks for what, and never of one call."""
    constant: bool | None
    """Its value where it does not depend on anything."""

    def holds(self, variables: Activation) -> bool | Fault:
        """Whether the condition holds, or why that cannot be said.

        The engine's own words may quote the call, so they go no further than this.
        """
        try:
            answer: object = self.program.eval(variables).value()
        except RuntimeError:
            return Fault.FAILED
        if answer is True or answer is False:
            return answer
        said = str(answer)
        if said.startswith("NOT_FOUND"):
            return Fault.MISSING
        return Fault.TYPES if "No matching overloads" in said else Fault.FAILED


def compile_condition(source: str) -> Condition:
    """Check a condition and make it ready.

    Raises:
        ConditionError: it is not CEL, names something unknown, or is not a yes or no.
    """
    try:
        program = _environment(per_call=True).compile(source)
    except RuntimeError as error:
        raise _explained(str(error)) from None
    kind = program.return_type().name()
    if kind not in ("BOOL", "DYN"):
        raise ConditionError(f"is {kind.lower()}, not true or false")
    return Condition(source, program, _names_in(source), _compiles_without_the_call(source), _constant(program))


def activation(scene: Scene, names: Iterable[str]) -> Activation:
    """The variables of one exchange, once for all the conditions that use no more than `names`."""
    return _environment(per_call=True).Activation({name: VARIABLES[name].value(scene) for name in names})


def lasting_activation(exchange: Exchange) -> Activation:
    """The variables that are the same for every call of the tool."""
    scene = Scene(exchange, Phase.REQUEST, _nowhere)
    values = {name: one.value(scene) for name, one in VARIABLES.items() if not one.per_call}
    return _environment(per_call=False).Activation(values)


def _nowhere() -> Around:
    raise LookupError("nothing that lasts asks for the time or the history")


def _names_in(source: str) -> frozenset[str]:
    """The variables that a condition may use: all whose name occurs in it, even if only inside a text."""
    tight = re.sub(r"\s+", "", source)
    return frozenset(name for name in VARIABLES if name in tight)


def _compiles_without_the_call(source: str) -> bool:
    try:
        _environment(per_call=False).compile(source)
    except RuntimeError:
        return False
    return True


def _constant(program: cel.Expression) -> bool | None:
    """What the condition is without any variable; `None` if it needs one."""
    try:
        answer: object = program.eval(data={}).value()
    except RuntimeError:
        return None
    return answer if isinstance(answer, bool) else None


def _explained(said: str) -> ConditionError:
    """The engine's first complaint in our words where we have some."""
    place = _PLACE.search(said)
    if place is None:
        return ConditionError("is too deeply nested or too large")
    line, column, what = int(place[1]), int(place[2]), place[3]
    if name := re.match(r"undeclared reference to '([^']*)'", what):
        known = ", ".join(f"`{one}`" for one in sorted(VARIABLES) if _akin(one, name[1]))
        hint = f": there is {known}" if known else ""
        return ConditionError(f"names `{name[1]}`, which does not exist{hint}", line, column)
    if types := re.match(r"found no matching overload for '([^']*)' applied to '\(?([^)']*)", what):
        operator = types[1].strip("_").replace("_", "")
        return ConditionError(f"uses `{operator}` on {types[2]}, which does not go together", line, column)
    if what.startswith("Syntax error"):
        return ConditionError("is not valid CEL there", line, column)
    return ConditionError(f"is wrong ({what.strip()})", line, column)


def _akin(one: str, asked: str) -> bool:
    return one.partition(".")[0] == asked.partition(".")[0]
