"""The `when:` of a rule: a CEL expression, checked against typed variables when it is loaded.

CEL (https://cel.dev) always ends, has no side effects, and its `matches` runs on RE2. Each variable is declared by
its whole dotted name, so a misspelt one is an error with line and column at load and never a surprise at a call.
Which rules have conditions, and what follows from them, is `compiled.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import cel_expr_python.cel as cel

from governance import jsontree
from governance.exchange import Exchange, Phase

STATIC: Mapping[str, str] = {
    "exchange.action": "string",
    "exchange.plane": "string",
    "exchange.transport": "string",
    "exchange.client": "string",
    "exchange.server": "string",
    "exchange.provider": "string",
    "exchange.model": "string",
    "principal.key_id": "string",
    "principal.tenant": "string",
    "principal.team": "string",
    "principal.agent": "string",
    "principal.user": "string",
    "principal.provenance": "map(string, string)",
    "tool.server": "string",
    "tool.name": "string",
    "tool.definition": "string",
    "tool.annotations": "map(string, dyn)",
    "session.id": "string",
    "session.evidence": "string",
    "session.rank": "int",
}
"""Variables that are the same for every call of one tool by one principal in one session."""

DYNAMIC: Mapping[str, str] = {
    "exchange.id": "string",
    "exchange.phase": "string",
    "exchange.facts": "map(string, dyn)",
    "args": "map(string, dyn)",
    "result": "dyn",
    "findings": "list(map(string, dyn))",
    "session.calls": "int",
    "now": "timestamp",
}
"""Variables that differ from call to call. A condition that names one cannot hide a tool from a list."""

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


class Around(NamedTuple):
    """What a condition may ask that does not stand in the exchange."""

    now: Any
    """The time of the judgement, aware (`datetime`)."""
    calls: int
    """Tool calls that this process saw of the session before this one."""


@cache
def _environment(*, static: bool) -> cel.Env:
    text, anything = cel.Type.STRING, cel.Type.DYN
    types = {
        "string": text,
        "int": cel.Type.INT,
        "timestamp": cel.Type.TIMESTAMP,
        "dyn": anything,
        "map(string, string)": cel.Type.Map(text, text),
        "map(string, dyn)": cel.Type.Map(text, anything),
        "list(map(string, dyn))": cel.Type.List(cel.Type.Map(text, anything)),
    }
    names = STATIC if static else {**STATIC, **DYNAMIC}
    return cel.NewEnv(variables={name: types[kind] for name, kind in names.items()})


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled `when:`."""

    source: str
    program: cel.Expression
    static: bool
    """Whether it speaks only of who asks for what, and never of one call."""
    constant: bool | None
    """Its value where it does not depend on anything."""

    def holds(self, activation: cel.Activation) -> bool | Fault:
        """Whether the condition holds, or why that cannot be said.

        The engine's own words may quote the call, so they go no further than this.
        """
        try:
            answer: object = self.program.eval(activation).value()
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
        program = _environment(static=False).compile(source)
    except RuntimeError as error:
        raise _explained(str(error)) from None
    kind = program.return_type().name()
    if kind not in ("BOOL", "DYN"):
        raise ConditionError(f"is {kind.lower()}, not true or false")
    return Condition(source, program, _compiles_without_the_call(source), _constant(program))


def activation(exchange: Exchange, phase: Phase, around: Around) -> cel.Activation:
    """The variables of one exchange, once for all the conditions that look at it."""
    return _environment(static=False).Activation(
        {
            **_static_values(exchange),
            "exchange.id": exchange.id,
            "exchange.phase": phase.value,
            "exchange.facts": dict(exchange.facts),
            "args": exchange.arguments,
            "result": exchange.response.value if exchange.response is not None else None,
            "findings": [
                {"kind": one.kind, "rule": one.rule, "pointer": one.pointer, "role": one.role, "action": one.action}
                for one in exchange.findings
            ],
            "session.calls": around.calls,
            "now": around.now,
        }
    )


def static_activation(exchange: Exchange) -> cel.Activation:
    """The variables that do not depend on one call."""
    return _environment(static=True).Activation(_static_values(exchange))


def _static_values(exchange: Exchange) -> dict[str, object]:
    principal, resource, session, facts = exchange.principal, exchange.resource, exchange.session, exchange.facts
    return {
        "exchange.action": exchange.action.value,
        "exchange.plane": jsontree.as_text(facts.get("plane")),
        "exchange.transport": jsontree.as_text(facts.get("transport")),
        "exchange.client": jsontree.as_text(facts.get("client")),
        "exchange.server": resource.server,
        "exchange.provider": resource.provider,
        "exchange.model": resource.model,
        "principal.key_id": principal.key_id,
        "principal.tenant": principal.tenant,
        "principal.team": principal.team,
        "principal.agent": principal.agent,
        "principal.user": principal.user,
        "principal.provenance": dict(principal.provenance),
        "tool.server": resource.server,
        "tool.name": resource.name,
        "tool.definition": resource.definition,
        "tool.annotations": dict(resource.annotations),
        "session.id": session.id,
        "session.evidence": session.evidence,
        "session.rank": session.rank,
    }


def _compiles_without_the_call(source: str) -> bool:
    try:
        _environment(static=True).compile(source)
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
        known = ", ".join(f"`{one}`" for one in sorted({*STATIC, *DYNAMIC}) if _akin(one, name[1]))
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
