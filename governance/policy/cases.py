"""Tests of a policy, written beside it: `given` a call, `expect` a verdict. The library behind `wicket policy test`.

Pure but for reading files: time, session and findings come from the case, so a case means the same everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictStr,
    ValidationError,
    model_validator,
)

from governance.config.document import ConfigError, Document, parse
from governance.exchange import Action, Body, Exchange, Phase, Principal, Resource, SessionRef
from governance.jsontree import Json
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.policy.glob import Globs
from governance.policy.load import read_sources
from governance.policy.mistakes import mistakes
from governance.verdict import Decision, Finding, Verdict

NOON = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
"""What `now` is where a case does not say: a Wednesday."""


class Part(BaseModel):
    """A part of a test file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Given(Part):
    """A call, or anything else that a policy judges."""

    action: Action = Action.TOOL_CALL
    phase: Phase = Phase.REQUEST
    server: StrictStr = ""
    tool: StrictStr = ""
    resource: StrictStr = ""
    provider: StrictStr = ""
    model: StrictStr = ""
    definition: StrictStr = ""
    annotations: dict[str, JsonValue] = Field(default_factory=dict)
    args: dict[str, JsonValue] = Field(default_factory=dict)
    result: JsonValue = None
    tenant: StrictStr = "default"
    team: StrictStr = ""
    agent: StrictStr = ""
    user: StrictStr = ""
    findings: tuple[StrictStr, ...] = ()
    labels: tuple[StrictStr, ...] = ()
    session: StrictStr = "session"
    calls: int = Field(default=0, ge=0)
    now: AwareDatetime = NOON
    facts: dict[str, JsonValue] = Field(default_factory=dict)


def _as_expectation(value: object) -> object:
    return {"decide": value} if isinstance(value, str) else value


class Expect(Part):
    """What must come of it. Only what is written is compared."""

    decide: Decision | None = None
    rule: StrictStr | None = None
    reason: StrictStr | None = None
    shadow: tuple[StrictStr, ...] | None = None
    redact: tuple[StrictStr, ...] | None = None
    labels: tuple[StrictStr, ...] | None = None
    visible: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Expect":
        if all(value is None for _, value in self):
            raise ValueError("says nothing: give `decide`, `rule`, `reason`, `shadow`, `redact`, `labels` or `visible`")
        return self


class Case(Part):
    """One test."""

    name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    given: Given = Given()
    expect: Annotated[Expect, BeforeValidator(_as_expectation)]


class CaseFile(Part):
    """A file of tests."""

    version: Literal[1]
    tests: tuple[Case, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one test."""

    name: str
    file: str
    line: int
    differences: tuple[str, ...]
    """One text for each thing that is not as expected; empty = passed."""

    @property
    def passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.differences


def run_files(policy: Policy, paths: Sequence[Path]) -> list[CaseResult]:
    """Run every test of some files.

    Raises:
        ConfigError: a file cannot be read, or is not a test file; names file, line, key and test.
    """
    return [result for name, text in read_sources(paths) for result in run_text(policy, text, name)]


def run_text(policy: Policy, text: str, name: str) -> list[CaseResult]:
    """Run every test of a text, which is called `name` in results.

    Raises:
        ConfigError: it is not a test file.
    """
    document = parse(text, name)
    cases = _validated(document)
    return [
        CaseResult(case.name, name, document.line(("tests", index)), run(policy, case))
        for index, case in enumerate(cases.tests)
    ]


def run(policy: Policy, case: Case) -> tuple[str, ...]:
    """What is not as a case expects."""
    given, expect = case.given, case.expect
    exchange = exchange_of(given)
    around = Around(now=given.now, calls=given.calls, labels=frozenset(given.labels))
    verdict = policy.judge(exchange, given.phase, lambda: around)
    differences = _differences(expect, verdict, "/params/arguments" if _is_call(given) else "")
    if expect.visible is not None and policy.visible(exchange) is not expect.visible:
        differences.append(f"visible: expected {str(expect.visible).lower()}, is {str(not expect.visible).lower()}")
    return tuple(differences)


def exchange_of(given: Given) -> Exchange:
    """The exchange that a case describes."""
    arguments: Json = given.args
    value: Json = {"params": {"arguments": arguments}} if given.action is Action.TOOL_CALL else arguments
    response = Body(given.result) if given.phase is Phase.RESPONSE else None
    find = partial(Finding, rule="given", pointer="", start=0, end=0)
    return Exchange(
        id="case",
        at=given.now,
        action=given.action,
        principal=Principal("case", tenant=given.tenant, team=given.team, agent=given.agent, user=given.user),
        resource=Resource(
            server=given.server,
            name=given.tool or given.resource,
            provider=given.provider,
            model=given.model,
            definition=given.definition,
            annotations=given.annotations,
        ),
        session=SessionRef(given.session, "explicit", 1),
        request=Body(value),
        response=response,
        findings=tuple(find(kind=kind) for kind in given.findings),
        facts=given.facts,
    )


def _is_call(given: Given) -> bool:
    return given.action is Action.TOOL_CALL and given.phase is Phase.REQUEST


def _differences(expect: Expect, verdict: Verdict, base: str) -> list[str]:
    """Every difference; `base` is where the pointers of `redact` begin."""
    found: list[str] = []
    if expect.decide is not None and verdict.decision is not expect.decide:
        by = f" by rule `{verdict.rule}`" if verdict.rule else ""
        why = verdict.reason or "no rule spoke"
        found.append(f"decide: expected {expect.decide.value}, is {verdict.decision.value}{by}: {why}")
    if expect.rule is not None and verdict.rule != expect.rule:
        found.append(f"rule: expected `{expect.rule}`, is `{verdict.rule}`")
    if expect.reason is not None and not Globs([expect.reason]).match(verdict.reason):
        found.append(f"reason: expected `{expect.reason}`, is `{verdict.reason}`")
    shadow = sorted(one.rule for one in verdict.shadow)
    if expect.shadow is not None and sorted(expect.shadow) != shadow:
        found.append(f"shadow: expected {_listed(expect.shadow)}, is {_listed(shadow)}")
    redacted = sorted(edit.pointer.removeprefix(base) for edit in verdict.edits)
    if expect.redact is not None and sorted(expect.redact) != redacted:
        found.append(f"redact: expected {_listed(expect.redact)}, is {_listed(redacted)}")
    added = sorted({label for label, _ in verdict.labels})
    if expect.labels is not None and sorted(expect.labels) != added:
        found.append(f"labels: expected {_listed(expect.labels)}, is {_listed(added)}")
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"


_PARTS = {"": CaseFile, "tests": Case, "given": Given, "expect": Expect}


def _validated(document: Document) -> CaseFile:
    try:
        return CaseFile.model_validate(document.value)
    except ValidationError as error:
        raise ConfigError(mistakes(document, error, _PARTS, owner=("tests", "test", "name"))) from None
