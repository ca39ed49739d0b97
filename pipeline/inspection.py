"""Messages that are no exchange of their own: judged like one, and written down only when there is something to say.

A server may send thousands of clean notifications, and a durable event for each would cost more than the calls they
belong to. So what is clean leaves no trace; what was found, changed or withheld does, one by one up to a rate for each
key and counted beyond it (`governance/audit/flood.py`). Requests and their responses take `pipeline/passage.py`.
"""

import logging
from dataclasses import replace
from typing import NoReturn

import anyio

from governance.audit.event import AuditError, AuditLog, Tag
from governance.exchange import Exchange, Phase
from governance.stage import RefusedError
from governance.verdict import Decision, Verdict
from pipeline import record
from pipeline.asking import judge
from pipeline.judge import Judgement, unwritable
from pipeline.stages import Stages
from pipeline.writing import append
from sessions.killswitch import KillSwitch, Scope
from sessions.labels.book import Entry, Labels

log = logging.getLogger(__name__)


class Inspector:
    """Judges one message at a time.

    Args:
        stages: the checks.
        audit: where it is written down; bounded, because a peer decides how often something is found.
        kills: stops a run, where a rule says so.
        labels: what messages add to their run.
        unbounded: where it is written down that they do, which must not be left out: once for each label of a run.
    """

    def __init__(self, stages: Stages, audit: AuditLog, kills: KillSwitch, labels: Labels, unbounded: AuditLog) -> None:
        self._stages = stages.message
        self._audit = audit
        self._kills = kills
        self._labels = labels
        self._unbounded = unbounded

    async def inspect(self, exchange: Exchange, phase: Phase) -> Exchange:
        """The exchange with the message that may go on: as it came, or redacted.

        Args:
            exchange: its `request` (or its `response`, by the phase) is the message.
            phase: `request` for what goes to a server, `response` for what comes from one.

        Raises:
            RefusedError: it must not go on. Nobody can be asked about a message, so a hold refuses too.
        """
        judged = await judge(self._stages, exchange, phase)
        verdict = judged.winner
        if verdict.decision.strength >= Decision.HOLD.strength:
            await self._withhold(exchange, judged, phase, verdict)
        found = judged.exchange.findings[len(exchange.findings) :]
        entry = self._labels.due(judged.exchange, phase, judged.verdicts, found, goes_on=True)
        if found or verdict.decision is not Decision.ALLOW or judged.shadow or entry is not None:
            try:
                await self._write(Tag.MESSAGE_FLAGGED, exchange, judged, phase, verdict, entry)
            except AuditError as error:
                log.error("the audit log cannot be written, so a message is refused: %s", error)  # noqa: TRY400
                raise RefusedError(unwritable(), exchange.id) from None
        return judged.exchange

    async def _withhold(self, exchange: Exchange, judged: Judgement, phase: Phase, verdict: Verdict) -> NoReturn:
        entry = self._labels.due(exchange, phase, judged.verdicts, (), goes_on=False)
        if verdict.decision is Decision.HOLD:
            verdict = replace(verdict, decision=Decision.DENY)
        # The kill ends what this message came with, and so would end the writing too.
        with anyio.CancelScope(shield=True):
            try:
                await self._write(Tag.MESSAGE_WITHHELD, exchange, judged, phase, verdict, entry)
            except AuditError as error:
                log.error("a message was refused, and that is not recorded: %s", error)  # noqa: TRY400
            if verdict.decision is Decision.KILL and verdict.by != "kill":
                actor = f"{verdict.by}:{verdict.rule}"
                try:
                    await self._kills.kill(
                        Scope.SESSION, exchange.session.id, reason=verdict.reason or actor, actor=actor
                    )
                except Exception:
                    log.exception("run %s could not be stopped; its message is refused", exchange.session.id)
        raise RefusedError(verdict, exchange.id)

    async def _write(
        self, tag: Tag, exchange: Exchange, judged: Judgement, phase: Phase, verdict: Verdict, entry: Entry | None
    ) -> None:
        """Write one event, with what was found in this message alone."""
        shown = replace(judged.exchange, findings=judged.exchange.findings[len(exchange.findings) :])
        draft = record.message(tag, shown, replace(verdict, shadow=judged.shadow), phase)
        await append(self._audit if entry is None else self._unbounded, draft, entry, self._labels)
