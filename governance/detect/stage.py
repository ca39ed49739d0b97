"""The check named `detect`: looks through a body and says what the configuration wants done about what it finds.

It judges whole bodies. Streams are `pipeline/stream.py`, by the same detector and the same actions.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial

from anyio import CapacityLimiter, to_thread

from governance import jsontree
from governance.config.models import FindingAction
from governance.detect.actions import Actions
from governance.detect.detector import Detector, join
from governance.detect.memory import CleanTexts, Sifted
from governance.exchange import Action, Body, Exchange, Phase, Role, Segment
from governance.stage import Thought
from governance.verdict import ALLOWED, Decision, Edit, Finding, Verdict

NAME = "detect"
LONGEST = {"hyperscan": 131_072, "re": 2_048}
"""Characters that are looked through on the event loop, by engine: some milliseconds. More is a thread's work."""
THREADS = 4
"""Most long texts looked through at once."""

_DECISIONS = {
    "log": Decision.ALLOW,
    "redact": Decision.REDACT,
    "hold": Decision.HOLD,
    "deny": Decision.DENY,
}
_PLACES = {
    Role.SYSTEM: "the system prompt",
    Role.USER: "the user's text",
    Role.ASSISTANT: "the model's text",
    Role.ARGUMENT: "the tool's arguments",
    Role.RESULT: "a tool's result",
    Role.DEFINITION: "a tool's definition",
    Role.OTHER: "the text",
}


class DetectStage:
    """Finds personal data, secrets, injection and dangerous arguments, and asks for the configured action."""

    name = NAME

    def __init__(self, detector: Detector, actions: Actions) -> None:
        self.detector = detector
        self.actions = actions
        self._clean = CleanTexts()
        self._longest = LONGEST.get(detector.engine, 0)
        self._threads = CapacityLimiter(THREADS)

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """What was found in this half of the exchange, and what should happen.

        Raises:
            Exception: the engine failed, so nothing is known; the guard refuses.
        """
        body = exchange.request if phase is Phase.REQUEST else exchange.response
        if body is None:
            return ALLOWED
        arguments = has_new_arguments(exchange.action, phase)
        unknown = self._clean.sift(body.strings, arguments=arguments)
        if sum(map(len, unknown.texts)) > self._longest:
            return self._apart(unknown, exchange, phase, body)
        return self._told(self._look(unknown.texts, body, arguments=arguments), unknown, exchange, phase, body)

    async def _apart(self, unknown: Sifted, exchange: Exchange, phase: Phase, body: Body) -> Verdict:
        """The same for what takes long, in a thread."""
        arguments = has_new_arguments(exchange.action, phase)
        look = partial(self._look, unknown.texts, body, arguments=arguments)
        found = await to_thread.run_sync(look, limiter=self._threads)
        return self._told(found, unknown, exchange, phase, body)

    def _told(
        self, found: list[tuple[int, Finding]] | None, unknown: Sifted, exchange: Exchange, phase: Phase, body: Body
    ) -> Verdict:
        """The verdict that it amounts to."""
        if found is None:
            self._clean.keep(unknown)
        if not found:
            return ALLOWED
        segments = body.segments
        is_call = exchange.action is Action.TOOL_CALL and phase is Phase.REQUEST
        tenant = exchange.principal.tenant
        editable = _editable({one.pointer for _, one in found}, segments, body)
        return _verdict(
            [
                replace(
                    one,
                    action=action_for(self.actions, one.kind, tenant, is_call=is_call),
                    fixed=index not in editable,
                )
                for index, one in found
            ]
        )

    def _look(self, unknown: Sequence[str], body: Body, *, arguments: bool) -> list[tuple[int, Finding]] | None:
        """What was found in a body; `None` if surely nothing is in what was not known of it."""
        if self.detector.is_clean(join(unknown), arguments=arguments):
            return None
        return self.detector.locate(body.segments, arguments=arguments)


def has_new_arguments(action: Action, phase: Phase) -> bool:
    """Whether a body may hold arguments that nobody judged yet.

    A model request repeats those of earlier calls with every turn, and a tool's result has none.
    """
    if action in (Action.LLM_GENERATE, Action.LLM_EMBED, Action.SAMPLING_CREATE):
        return phase is Phase.RESPONSE
    return phase is Phase.REQUEST


def action_for(actions: Actions, kind: str, tenant: str, *, is_call: bool) -> FindingAction:
    """The configured action; for dangerous arguments only where the call itself is judged.

    In model traffic the same arguments appear as history, or as a wish that has still to pass the call's own gate.
    """
    if kind.startswith(("argument.", "address.")) and not is_call:
        return "log"
    return actions.of(kind, tenant)


def _verdict(findings: Sequence[Finding]) -> Verdict:
    """The verdict that findings amount to."""
    wanted = [one for one in findings if one.action == "redact"]
    stuck = next((one for one in wanted if one.fixed), None)
    if stuck is not None:
        return irreplaceable(stuck, findings)
    edits = tuple(Edit(one.pointer, one.start, one.end, replacement(one.kind)) for one in wanted)
    return replace(summary(findings), edits=edits)


def irreplaceable(stuck: Finding, findings: Sequence[Finding]) -> Verdict:
    """The verdict where one of the findings would have to be replaced and cannot be."""
    reason = f"found `{stuck.kind}` in a name, where it cannot be replaced: use another name"
    return Verdict(Decision.DENY, by=NAME, rule=stuck.rule, reason=reason, findings=tuple(findings))


def _editable(pointers: AbstractSet[str], segments: Sequence[Segment], body: Body) -> frozenset[int]:
    """Indexes of the segments at `pointers` that are values and steer nothing.

    The name of a member has the pointer of its value and stands before it.
    """
    last = {one.pointer: index for index, one in enumerate(segments) if one.pointer in pointers}
    return frozenset(
        index
        for pointer, index in last.items()
        if not segments[index].fixed and jsontree.at(body.value, pointer) == segments[index].text
    )


def summary(findings: Sequence[Finding]) -> Verdict:
    """The strongest action asked for, in words, without edits."""
    worst = max(findings, key=lambda one: _DECISIONS[one.action].strength)
    decision = _DECISIONS[worst.action]
    rule, reason = (worst.rule, reason_for(worst)) if decision is not Decision.ALLOW else ("", "")
    return Verdict(decision, by=NAME, rule=rule, reason=reason, findings=tuple(findings))


def reason_for(finding: Finding) -> str:
    """Why, in words for the agent and the auditor."""
    where = _PLACES[Role(finding.role)] if finding.role else "the text"
    match finding.action:
        case "deny":
            return f"found `{finding.kind}` in {where}: remove it and try again"
        case "hold":
            return f"found `{finding.kind}` in {where}: a person has to approve it"
        case _:
            return f"found `{finding.kind}` in {where} and replaced it"


def replacement(kind: str) -> str:
    """What stands in the place of something redacted."""
    return f"[REDACTED:{kind}]"
