"""What the stages say: each in turn, on the exchange as it stands after the redactions of those before.

A stage that must wait for something is waited for in `pipeline/asking.py`, so that this file can be compiled. Acting on
what they say is the business of `pipeline/passage.py`.
"""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace

from approvals.desk import Held
from governance.exchange import Exchange, Phase
from governance.stage import Stage
from governance.verdict import ALLOWED, Decision, Verdict, charters_of, leaves_of, strongest

log = logging.getLogger(__name__)

BROKEN = "stage.error"
"""The rule by which a check refuses that could not be made."""


@dataclass
class Judgement:
    """What the stages said so far, and the exchange as it stands after redactions."""

    exchange: Exchange
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    answered: set[str] = field(default_factory=set[str])
    """Names of the stages that were asked and could say something, be it nothing."""
    asked: int = 0
    """How many stages were asked."""

    def go_on(self, stages: tuple[Stage, ...], phase: Phase) -> Awaitable[Verdict] | None:
        """Ask each stage in turn; a redaction applies at once, a denial ends the asking.

        A stage that raises is broken, and a broken check refuses.

        Returns:
            What must be awaited before `take` or `broke` and the next `go_on`; None when all was said.
        """
        while self.asked < len(stages):
            stage = stages[self.asked]
            self.asked += 1
            try:
                said = stage.judge(self.exchange, phase)
            except Exception as error:  # noqa: BLE001 - whatever broke, a broken check refuses
                self.broke(error, stages, phase)
                continue
            if not isinstance(said, Verdict):
                return said
            self.take(said, stages, phase)
        return None

    def take(self, verdict: Verdict, stages: tuple[Stage, ...], phase: Phase) -> None:
        """What the stage said that was asked last."""
        if verdict is ALLOWED:
            self.answered.add(stages[self.asked - 1].name)
            return
        if verdict.rule != BROKEN:
            self.answered.add(stages[self.asked - 1].name)
        self.verdicts.append(verdict)
        self.exchange = _applied(self.exchange, verdict, phase)
        if verdict.decision.strength >= Decision.DENY.strength:
            self.asked = len(stages)

    def broke(self, error: Exception, stages: tuple[Stage, ...], phase: Phase) -> None:
        """The stage that was asked last raised."""
        name = stages[self.asked - 1].name
        log.error("stage `%s` failed, so exchange %s is refused", name, self.exchange.id, exc_info=error)
        self.take(broken(name), stages, phase)

    @property
    def winner(self) -> Verdict:
        """The strongest verdict."""
        return strongest(self.verdicts)

    @property
    def warnings(self) -> list[Verdict]:
        """What the agent is told although the exchange goes on."""
        return [one for one in self.verdicts if one.decision is Decision.WARN]

    @property
    def shadow(self) -> tuple[Verdict, ...]:
        """What rules in shadow mode would have decided."""
        return tuple(shade for one in self.verdicts for shade in one.shadow)


def broken(stage: str) -> Verdict:
    """What a check that could not be made amounts to."""
    return Verdict(Decision.DENY, by=stage, rule=BROKEN, reason=f"the check `{stage}` could not be made")


def unwritable() -> Verdict:
    """What it amounts to that the audit log cannot be written."""
    reason = "the audit log cannot be written, so nothing is let through: try again later"
    return Verdict(Decision.DENY, by="audit", rule="audit.unwritable", reason=reason)


def _applied(exchange: Exchange, verdict: Verdict, phase: Phase) -> Exchange:
    findings = exchange.findings + verdict.findings
    if not verdict.edits:
        return replace(exchange, findings=findings) if verdict.findings else exchange
    if phase is Phase.REQUEST:
        return replace(exchange, findings=findings, request=exchange.request.edited(verdict.edits))
    if exchange.response is None:
        return replace(exchange, findings=findings)
    return replace(exchange, findings=findings, response=exchange.response.edited(verdict.edits))


def shaded(verdict: Verdict, judged: Judgement) -> Verdict:
    """The verdict, with what rules in shadow mode would have decided."""
    return replace(verdict, shadow=judged.shadow) if judged.verdicts and judged.shadow else verdict


def question(judged: Judgement) -> Verdict:
    """What a person is asked about a call that is held: by all that hold it, and so by what all of them want."""
    verdict = judged.winner
    if judged.verdicts == [verdict]:
        return verdict
    detached = all(one.detached for one in judged.verdicts if one.decision is Decision.HOLD)
    charters, leaves = charters_of(judged.verdicts), leaves_of(judged.verdicts)
    return replace(verdict, detached=detached, charters=charters, leaves=leaves)


def version_of(judged: Judgement) -> str:
    """The version of the policy that judged, if one did."""
    return next((one.version for one in judged.verdicts if one.version), "")


def not_approved(held: Held, verdict: Verdict) -> Verdict:
    """What becomes of a call that a person was asked about, and that may not run."""
    rule = f"approval.{held.state.value}"
    return Verdict(
        Decision.DENY, by="approval", rule=rule, reason=held.reason or verdict.reason, version=verdict.version
    )


def left(reason: str = "the client left before it was decided") -> Verdict:
    """What becomes of an exchange whose client is gone."""
    return Verdict(Decision.DENY, by="guard", rule="client.left", reason=reason)
