"""The shape of a policy file, as people write it.

Models only: rules are made ready in `compiled.py`, and what they mean is in `docs/policy.md`.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from governance.exchange import Phase
from governance.labels import LABEL, MOST_LABELS
from governance.verdict import Decision, Reach

_OF_HOLDS = frozenset({"approvers", "quorum", "no_self_approval", "escalate", "grants"})
"""Members that say how people are asked."""

RESERVED = "policy:"
"""How reasons begin that only the engine may give, so that no rule can pass itself off as a broken check."""

REASON_CHARACTERS = 500


def _as_list(value: object) -> object:
    if value is None:
        raise ValueError("is empty: write a pattern, or remove it")
    return [value] if isinstance(value, str) else value


def _scalar(value: object) -> object:
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ValueError("must be text, a number, true, false or null")


def _number(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise ValueError("must be a number")


def _truth(value: object) -> object:
    if isinstance(value, bool):
        return value
    raise ValueError("must be `true` or `false`")


def _comparison(value: object) -> object:
    """A bare value, or a list of them, is short for `any_of`."""
    if isinstance(value, dict):
        return cast("object", value)
    return {"any_of": cast("list[object]", value) if isinstance(value, list) else [value]}


_UNDECIDED: Any = ""


def _decided(value: object, info: ValidationInfo) -> object:
    """Only a rule that labels may leave the decision to others."""
    if value != _UNDECIDED:
        return value
    if not info.data.get("add_labels"):
        raise PydanticCustomError("missing", "missing")
    return Decision.ALLOW


Pointer: TypeAlias = Annotated[StrictStr, Field(pattern=r"^(/([^~/]|~[01])*)+$", max_length=1000)]
Patterns: TypeAlias = Annotated[
    tuple[Annotated[StrictStr, Field(max_length=1000)], ...], BeforeValidator(_as_list), Field(min_length=1)
]
Labels: TypeAlias = Annotated[
    tuple[Annotated[StrictStr, Field(pattern=LABEL)], ...],
    BeforeValidator(_as_list),
    Field(min_length=1, max_length=MOST_LABELS),
]
Bound: TypeAlias = Annotated[int | float | None, PlainValidator(_number)]
"""A number. Absent is `None`, but a key that is written must have a value: so too for all types here."""
Scalar: TypeAlias = Annotated[str | bool | int | float | None, PlainValidator(_scalar)]


class Part(BaseModel):
    """A part of a policy file. An unknown key is an error: a mistyped condition must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Comparison(Part):
    """What an argument is compared with. All that is given must hold."""

    any_of: tuple[Scalar, ...] = Field(default=(), min_length=1)
    """Texts are patterns, other values are equal or not."""
    equals: Scalar = None
    """Exactly this value; a text is not a pattern here."""
    gt: Bound = None
    ge: Bound = None
    lt: Bound = None
    le: Bound = None
    exists: Annotated[bool | None, PlainValidator(_truth)] = None

    @model_validator(mode="after")
    def _says_something(self) -> "Comparison":
        if not self.model_fields_set:
            raise ValueError("says nothing: give `any_of`, `equals`, `gt`, `ge`, `lt`, `le` or `exists`")
        if self.exists is False and len(self.model_fields_set) > 1:
            raise ValueError("leaves nothing to compare with `exists: false`: remove the other conditions")
        return self


class Match(Part):
    """Which exchanges a rule is about. Every key that is given must fit; inside a list, any entry may."""

    action: Patterns = ()
    server: Patterns = ()
    tool: Patterns = ()
    resource: Patterns = ()
    provider: Patterns = ()
    model: Patterns = ()
    tenant: Patterns = ()
    team: Patterns = ()
    agent: Patterns = ()
    user: Patterns = ()
    annotations: dict[StrictStr, Scalar] = Field(default_factory=dict, min_length=1)
    findings: Patterns = ()
    labels: Patterns = ()
    all_labels: Labels = ()
    """Every one of these; they are no patterns."""
    args: dict[Pointer, Annotated[Comparison, BeforeValidator(_comparison)]] = Field(default_factory=dict, min_length=1)


def _short_grants(value: object) -> object:
    """`no` and `once`, `session` and `pattern` are short for a section with `allow`."""
    if value is False:
        return {"allow": "once"}
    if isinstance(value, str):
        return {"allow": value}
    if isinstance(value, dict):
        return cast("object", value)
    raise ValueError("must be `no`, `session`, `pattern`, or a section with `allow`, `hours` and `uses`")


class Grants(Part):
    """What a person who approves a call may allow beyond it."""

    allow: Reach = Reach.PATTERN
    hours: Annotated[StrictInt | StrictFloat, Field(gt=0, le=720)] = 8
    """For how long at most."""
    uses: Annotated[StrictInt, Field(ge=1, le=10_000)] = 100
    """For how many further calls at most."""


def _percent(value: object) -> object:
    """`50%`, as a number."""
    text = value[:-1].strip() if isinstance(value, str) and value.endswith("%") else ""
    if not text.isdecimal() or not 1 <= int(text[:3]) <= 99 or len(text) > 2:
        raise ValueError("must be a part of the time, `1%` to `99%`")
    return int(text)


Approvers: TypeAlias = Annotated[
    tuple[Annotated[StrictStr, Field(pattern=r"^(role:(approver|admin)|(team|user):.{1,200})$")], ...],
    BeforeValidator(_as_list),
    Field(min_length=1, max_length=50),
]


class Escalate(Part):
    """Who else may decide when nobody has for part of the time."""

    after: Annotated[int, BeforeValidator(_percent)]
    to: Approvers
    replace: Annotated[bool, BeforeValidator(_truth)] = False
    """From then on only they may."""


class Mode(StrEnum):
    """Whether a rule decides, or is only watched."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class Rule(Part):
    """One rule."""

    id: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    match: Match = Match()
    when: Annotated[StrictStr, Field(min_length=1, max_length=4000)] = ""
    add_labels: Labels = ()
    """What the session is labelled with."""
    decide: Annotated[Decision, BeforeValidator(_decided)] = Field(default=_UNDECIDED, validate_default=True)
    reason: Annotated[StrictStr, Field(max_length=REASON_CHARACTERS)] = ""
    redact: tuple[Pointer, ...] = ()
    mode: Mode = Mode.ENFORCE
    phase: Phase = Phase.REQUEST
    run_detached: Annotated[bool, BeforeValidator(_truth)] = False
    """Of a hold: an approved call is made although its client has gone."""
    approvers: Approvers = ()
    """Of a hold: who may decide; everybody who may decide at all unless given."""
    quorum: Annotated[StrictInt, Field(ge=1, le=10)] = 1
    """Of a hold: how many different people must approve."""
    no_self_approval: Annotated[bool, BeforeValidator(_truth)] = False
    """Of a hold: the person whom the caller's key stands for may not decide."""
    escalate: Escalate | None = None
    """Of a hold: who else may decide later."""
    grants: Annotated[Grants, BeforeValidator(_short_grants)] = Grants()
    """Of a hold: what a person may allow beyond the call."""

    @property
    def only_labels(self) -> bool:
        """Whether it leaves the decision to others: it permits nothing and takes no default's place."""
        return "decide" not in self.model_fields_set

    @model_validator(mode="after")
    def _hangs_together(self) -> "Rule":
        if self.decide is Decision.REDACT and not self.redact:
            raise ValueError("`decide: redact` needs `redact`, the list of pointers to blot out")
        if self.redact and self.decide is not Decision.REDACT:
            raise ValueError("`redact` is only for `decide: redact`")
        if self.decide is Decision.HOLD and self.phase is Phase.RESPONSE:
            raise ValueError("`hold` is for requests: what has happened cannot be asked for any more, use `deny`")
        if self.run_detached and self.decide is not Decision.HOLD:
            raise ValueError("`run_detached` is only for `decide: hold`: nothing else waits for its client")
        if self.decide is not Decision.HOLD and self.model_fields_set & _OF_HOLDS:
            raise ValueError(
                "`approvers`, `quorum`, `no_self_approval`, `escalate` and `grants` are only for `decide: hold`"
            )
        if self.escalate is not None and not self.approvers and not self.escalate.replace:
            raise ValueError("`escalate` adds nobody where everybody may decide: give `approvers`, or `replace: true`")
        if self.approvers and self.escalate is None and all(one.startswith("user:") for one in self.approvers):
            named = len(set(self.approvers))
            if named < self.quorum:
                raise ValueError(f"`quorum: {self.quorum}` can never be reached: `approvers` names {named}")
        if self.reason.lstrip().lower().startswith(RESERVED):
            raise ValueError(f"a `reason` may not begin with `{RESERVED}`, which is kept for broken rules")
        return self


class File(Part):
    """A policy file."""

    version: Literal[1]
    default: Literal["allow", "hold", "deny"] = "allow"
    rules: tuple[Rule, ...] = ()
