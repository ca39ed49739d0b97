"""One exchange on its way: admitted, answered, settled.

This is where verdicts are acted on. What is forwarded is what was judged, and every decision is durable before
anything is forwarded. The stages themselves are asked by `pipeline/asking.py`; the words of the audit events are
chosen by `pipeline/record.py`. It knows neither HTTP nor MCP.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import anyio

from approvals.attendance import UNATTENDED, Attendance
from approvals.desk import Held, HeldState
from approvals.grants.grant import Grant, SpentError
from governance.audit.event import AuditError, Draft, Tag
from governance.exchange import Body, Exchange, Phase, Role, ToolUse
from governance.stage import Outcome, RefusedError
from governance.verdict import ALLOWED, Decision, Verdict, strongest
from pipeline import record
from pipeline.amended import USED, judged_again, notices, refused
from pipeline.asked import Asked
from pipeline.asking import judge
from pipeline.granted import SPENT, granted, using
from pipeline.judge import Judgement, broken, left, not_approved, question, shaded, unwritable
from pipeline.organs import Organs
from pipeline.strand import Strand
from pipeline.writing import append
from sessions.killswitch import Scope

log = logging.getLogger(__name__)

SETTLE_SECONDS = 10
"""How long the record of an ending may take once its caller is gone."""


class Passage:
    """One exchange on its way through the guard."""

    def __init__(self, organs: Organs, exchange: Exchange, attendance: Attendance = UNATTENDED) -> None:
        self._organs = organs
        self._attendance = attendance
        self.exchange = exchange
        """The exchange as judged. Forward exactly `exchange.request.raw`."""
        self._received = exchange.request
        """The request before any redaction, which is what findings are offsets into."""
        self.warnings: list[Verdict] = []
        """What the agent should be told although the exchange goes on."""
        self.notices: list[str] = []
        """What else it should be told; it may quote the call, and so is not for the log."""
        self.scope = anyio.CancelScope()
        self.cut_by: Verdict | None = None
        """The kill that cut this exchange short."""
        self._response = ALLOWED
        self._answers: list[Verdict] = []
        """What was said of the response."""
        self._of_request = 0
        """How many of the findings are of the request."""
        self._streams: dict[str, Strand] = {}
        self._asked = Asked(organs.roll)
        self._decided: Tag | None = None
        """The decision that was written, or is being written: a caller that leaves meanwhile does not unwrite it."""
        self._handed_over = False
        """Whether the request is the caller's to forward: before that, nothing of it was used."""
        self._settled = False
        self._began = organs.clock.monotonic()
        self._own = 0.0
        """Seconds that Wicket itself took, without whoever was waited for."""

    async def respond(self, body: Body) -> Exchange:
        """Judge a whole response; what comes back carries the response that may leave.

        Raises:
            RefusedError: the response is withheld.
        """
        began = self._organs.clock.monotonic()
        judged = await judge(self._organs.stages.response, self.exchange.answered(body), Phase.RESPONSE)
        self.took_since(began)
        self.exchange, self._response = judged.exchange, shaded(judged.winner, judged)
        self.warnings += judged.warnings
        self._answers += judged.verdicts
        self._refuse_response()
        return self.exchange

    def stream(self, channel: str, role: Role = Role.ASSISTANT) -> Strand:
        """The guard of one channel of streamed text (a choice, a block, the arguments of a call), in its role."""
        if channel not in self._streams:
            guard, ear = self._organs.stream(self.exchange, role), self._organs.ear(role)
            self._streams[channel] = Strand(guard, self.exchange.id, self.withhold, ear)
        return self._streams[channel]

    def asks(self, uses: Sequence[ToolUse]) -> None:
        """The answer asks for tools. That is written down with the outcome, unless `tell` comes before."""
        self._asked.add(uses)

    async def tell(self) -> None:
        """Write down what the answer asks for, before the bytes leave that complete the asking.

        Raises:
            RefusedError: it could not be written, so nothing more of the answer may leave.
        """
        if not await self._asked.tell(self.exchange):
            self.withhold(unwritable())

    async def settle(self, outcome: Outcome) -> None:
        """Make the outcome durable. Call it before the last byte leaves.

        Raises:
            RefusedError: the log could not be written, a rule withholds the stream, or the run was killed.
        """
        if self._settled:
            return
        if self._streams:
            await self._judge_stream()
        if not await self._settle(outcome):
            raise RefusedError(unwritable(), self.exchange.id)
        if self._streams:
            self._refuse_response()

    async def _judge_stream(self) -> None:
        """Let policy speak about a stream as a whole: its text has left, its last bytes have not."""
        found = tuple(one for strand in self._streams.values() for one in strand.findings)
        self.exchange = replace(self.exchange, findings=self.exchange.findings + found)
        stages = tuple(one for one in self._organs.stages.response if one.name != "detect")
        judged = await judge(stages, self.exchange, Phase.RESPONSE)
        self._answers += judged.verdicts
        self._response = strongest((*judged.verdicts, self._response))
        if noted := tuple(one for strand in self._streams.values() for one in strand.noted):
            self._response = replace(self._response, shadow=self._response.shadow + noted)

    def took_since(self, moment: float) -> None:
        """All since `moment` was our own time."""
        self._own += self._organs.clock.monotonic() - moment

    def withhold(self, verdict: Verdict) -> NoReturn:
        """Refuse the response, or the rest of a stream.

        Raises:
            RefusedError: always.
        """
        self._response = verdict
        raise RefusedError(verdict, self.exchange.id)

    # -- the request ------------------------------------------------------------------------------------------------

    async def admit(self) -> None:
        """Judge the request and make the decision durable.

        Raises:
            RefusedError: it must not be forwarded.
        """
        try:
            await self._admit()
        finally:
            self.took_since(self._began)

    async def _admit(self) -> None:
        judged = await judge(self._organs.stages.request, self.exchange, Phase.REQUEST)
        verdict, ticket, grant = judged.winner, "", None
        if verdict.decision is Decision.HOLD:
            grant = await granted(self._organs, judged)
            if grant is None:
                judged, ticket = await self._ask_a_person(judged)
        elif verdict.decision.strength > Decision.HOLD.strength:
            await self._refuse(judged, verdict)
        last = await judge(self._organs.stages.execution, judged.exchange, Phase.REQUEST)
        if last.winner.decision.strength >= Decision.HOLD.strength:
            await self._refuse(judged, last.winner)
        self.exchange, self.warnings = judged.exchange, judged.warnings + last.warnings
        final = shaded(strongest((verdict, last.winner)), judged)
        try:
            await self._write_decision(Tag.EXCHANGE_ADMITTED, final, judged, ticket, grant)
        except SpentError:
            await self._refuse(judged, refused(SPENT, "approval.spent"))
        if grant is not None:
            self._organs.tally.hold("granted")
        self._handed_over = True

    async def _ask_a_person(self, judged: Judgement) -> tuple[Judgement, str]:
        """Hold the call. Returns the call to make, and the id of the ticket that was used up for it."""
        verdict, exchange = question(judged), judged.exchange
        try:
            held = await self._wait(exchange, verdict)
        except Exception:
            log.exception("nobody can be asked, so exchange %s is refused", exchange.id)
            await self._refuse(judged, broken("approval"))
        if held.state is not HeldState.APPROVED:
            await self._refuse(judged, not_approved(held, verdict), held)
        if (objection := await self._attendance.objection()) is not None:
            await self._keep(held)
            await self._refuse(judged, objection, held)
        now, refusal, self._received = await judged_again(self._organs.stages, judged, held, self._received)
        if refusal is not None:
            if held.arguments is not None:
                await self._used_up(held)  # what a person wrote, and what was refused, is not tried again and again
            await self._refuse(now, refusal, held)
        if not self._attendance.present:
            await self._refuse(now, left("the client left before the call was approved"), held)
        if not await self._used_up(held):
            await self._refuse(now, refused(USED, "approval.used"), held)
        self._organs.relieve(exchange, held.relief)
        if held.arguments is not None:
            self.notices += notices(exchange, now.exchange)
        return now, held.ticket

    async def _wait(self, exchange: Exchange, verdict: Verdict) -> Held:
        tally, began, state = self._organs.tally, self._organs.clock.monotonic(), "abandoned"
        tally.waiting += 1
        try:
            held = await self._organs.desk.hold(exchange, verdict, attendance=self._attendance)
            state = held.state.value
            return held
        finally:
            tally.waiting -= 1
            tally.hold(state)
            self._own -= self._organs.clock.monotonic() - began

    async def _keep(self, held: Held) -> None:
        """Let the approval be used later; one that could not be prolonged lasts as long as any."""
        try:
            await self._organs.desk.prolong(held)
        except Exception:
            log.exception("the approval of exchange %s could not be prolonged", self.exchange.id)

    async def _used_up(self, held: Held) -> bool:
        """Use the approval up for this call; what could not be used up does not count."""
        try:
            return await self._organs.desk.consume(held)
        except Exception:
            log.exception("the approval of exchange %s could not be used", self.exchange.id)
            return False

    async def _refuse(self, judged: Judgement, verdict: Verdict, held: Held | None = None) -> NoReturn:
        """Record the refusal, kill if asked to, and raise."""
        self.exchange = judged.exchange
        kills = verdict.decision is Decision.KILL and verdict.by != "kill"
        # The kill cuts this exchange too, and so would cut short its record and whatever else the kill closes.
        ticket = held.ticket if held else ""
        with anyio.CancelScope(shield=kills):
            try:
                await self._write_decision(Tag.EXCHANGE_REFUSED, shaded(verdict, judged), judged, ticket)
            finally:
                if kills:
                    await self._kill(verdict)
        link = held.link if held and held.state is HeldState.PENDING else ""
        raise RefusedError(verdict, self.exchange.id, ticket=ticket if link else "", link=link)

    async def _write_decision(
        self, tag: Tag, verdict: Verdict, judged: Judgement, ticket: str, grant: Grant | None = None
    ) -> None:
        # What no detector looked at could not be masked, so nothing of it is kept.
        keeps = self._organs.masked_content and "detect" in judged.answered
        draft = record.decision(
            tag,
            self.exchange,
            verdict,
            warnings=self.warnings,
            ticket=ticket,
            grant=grant,
            utilization=self._organs.utilization(self.exchange.id),
            content=self._received if keeps else None,
        )
        self._decided, decision, goes_on = tag, verdict.decision, tag is Tag.EXCHANGE_ADMITTED
        self._of_request, organs = len(self.exchange.findings), self._organs
        entry = organs.labels.due(
            self.exchange, Phase.REQUEST, judged.verdicts, self.exchange.findings, goes_on=goes_on
        )
        within, counts = using(organs, grant, organs.roll.sign(self.exchange)), True
        try:
            await append(organs.audit, draft, entry, organs.labels, within)
        except SpentError:
            self._decided, counts = None, False
            raise
        except AuditError as error:
            self._decided, decision = Tag.EXCHANGE_REFUSED, Decision.DENY
            log.error("the audit log cannot be written, so the exchange is refused: %s", error)  # noqa: TRY400
            raise RefusedError(unwritable(), self.exchange.id) from None
        finally:
            if counts:
                organs.tally.judge(self.exchange.action, decision)

    async def leave(self, error: BaseException | None) -> None:
        """The caller is done, one way or another: close what is still open, in a scope that outlives it."""
        try:
            await self._leave(error)
        finally:
            self._organs.tally.added.add(self._own)

    async def _leave(self, error: BaseException | None) -> None:
        if self._settled:
            return
        outcome = self._outcome_of(error)
        if self._decided is Tag.EXCHANGE_ADMITTED:
            with anyio.move_on_after(SETTLE_SECONDS, shield=True):
                await self._settle(outcome)
            return
        with anyio.move_on_after(SETTLE_SECONDS, shield=True):
            await self._close_stages(
                Outcome("pending") if isinstance(error, RefusedError) and error.ticket else outcome
            )
            if self._decided is None:
                await self._write_undecided(error)

    async def _write_undecided(self, error: BaseException | None) -> None:
        """Record an exchange that was given up before anything was decided; nothing of it was forwarded."""
        verdict = self.cut_by
        if verdict is None and isinstance(error, Exception):
            verdict = broken("guard")
        verdict = verdict or left()
        draft = record.decision(Tag.EXCHANGE_REFUSED, self.exchange, verdict)
        self._organs.tally.judge(self.exchange.action, verdict.decision)
        try:
            await self._organs.audit.append(draft, self._organs.roll.sign(self.exchange))
        except AuditError as failure:
            log.error("exchange %s, given up, is not recorded: %s", self.exchange.id, failure)  # noqa: TRY400

    def cut(self, verdict: Verdict) -> None:
        """Stop this exchange now: its run was killed."""
        self.cut_by = verdict
        self.scope.cancel()

    # -- the response -----------------------------------------------------------------------------------------------

    def _refuse_response(self) -> None:
        if self._response.decision.strength >= Decision.HOLD.strength:
            raise RefusedError(self._response, self.exchange.id)

    async def _settle(self, outcome: Outcome) -> bool:
        """Write the ending, whatever becomes of the caller meanwhile; false if it could not be written."""
        self._settled = True
        if self.cut_by is not None:
            outcome, self._response = replace(outcome, status="killed"), self.cut_by
        began = self._organs.clock.monotonic()
        elapsed = round((began - self._began) * 1000)
        self._count_ending(outcome)
        draft, written = record.completion(self.exchange, self._response, outcome, milliseconds=elapsed), False
        kills = self._response.decision is Decision.KILL and self._response.by != "kill"
        if not kills and not any(stage.owes(self.exchange) for stage in self._organs.stages.settling):
            written = await self._write_ending(draft)  # in the log's hands before anything waits
        else:
            with anyio.move_on_after(SETTLE_SECONDS, shield=True):
                await self._close_stages(outcome)
                if kills:
                    await self._kill(self._response)
                written = await self._write_ending(draft)
        self.took_since(began)
        return written

    def _count_ending(self, outcome: Outcome) -> None:
        tally, withheld = self._organs.tally, self._response.decision.strength >= Decision.HOLD.strength
        tally.end(self.exchange.action, "withheld" if withheld and outcome.status != "killed" else outcome.status)
        tally.input_tokens += outcome.input_tokens
        tally.output_tokens += outcome.output_tokens

    async def _write_ending(self, draft: Draft) -> bool:
        # What is withheld asks for nothing, and nobody has seen it: its last bytes do not leave.
        withheld = self._response.decision.strength >= Decision.HOLD.strength
        within = None if withheld else self._asked.work(self.exchange)
        streamed = (one for strand in self._streams.values() for one in strand.findings)
        found, labels = (*self.exchange.findings[self._of_request :], *streamed), self._organs.labels
        goes_on = bool(self._streams) or not withheld
        entry = labels.due(self.exchange, Phase.RESPONSE, self._answers, found, goes_on=goes_on)
        try:
            await append(self._organs.audit, draft, entry, labels, within)
        except AuditError as error:
            log.error("the ending of exchange %s is not recorded: %s", self.exchange.id, error)  # noqa: TRY400
            return False
        return True

    async def _close_stages(self, outcome: Outcome) -> None:
        if not self._handed_over:
            outcome = replace(outcome, status="pending" if outcome.status == "pending" else "refused")
        for stage in self._organs.stages.settling:
            try:
                closing = stage.settle(self.exchange, outcome)
                if closing is not None:
                    await closing
            except Exception:
                log.exception("stage `%s` could not settle exchange %s", stage.name, self.exchange.id)

    def _outcome_of(self, error: BaseException | None) -> Outcome:
        if isinstance(error, RefusedError):
            return Outcome("refused")
        if error is None or not isinstance(error, Exception):
            return Outcome("cancelled")
        return Outcome("error", error="the proxy failed")

    # -- verdicts ---------------------------------------------------------------------------------------------------

    async def _kill(self, verdict: Verdict) -> None:
        """Stop the run. One that cannot be stopped is still refused, here and by its record."""
        run, actor = self.exchange.session.id, f"{verdict.by}:{verdict.rule}"
        try:
            await self._organs.kills.kill(Scope.SESSION, run, reason=verdict.reason or actor, actor=actor)
        except Exception:
            log.exception("run %s could not be stopped; exchange %s is refused", run, self.exchange.id)
