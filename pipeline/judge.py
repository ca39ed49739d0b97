"""Asking the stages: each in turn, on the exchange as it stands after the redactions of those before.

Acting on what they say is the business of `pipeline/passage.py`.
"""

import logging
from dataclasses import dataclass, field, replace

from approvals.desk import Held
from governance.exchange import Exchange, Phase
from governance.stage import Stage
from governance.verdict import ALLOWED, Decision, Verdict, strongest

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


async def judge(stages: tuple[Stage, ...], exchange: Exchange, phase: Phase) -> Judgement:
    """Ask each stage in turn; a redaction applies at once, a denial ends the asking.

    A stage that raises is broken, and a broken check refuses.
    """
    judged = Judgement(exchange)
    for stage in stages:
        try:
            verdict = await stage.judge(judged.exchange, phase)
        except Exception:
            log.exception("stage `%s` failed, so exchange %s is refused", stage.name, judged.exchange.id)
            verdict = broken(stage.name)
        if verdict.rule != BROKEN:
            judged.answered.add(stage.name)
        if verdict is ALLOWED:
            continue
        judged.verdicts.append(verdict)
        judged.exchange = _applied(judged.exchange, verdict, phase)
        if verdict.decision.strength >= Decision.DENY.strength:
            break
    return judged


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
