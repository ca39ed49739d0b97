"""Questions of a server inside a response, and a client's answers inside its next request (SEP-2322).

In the modern era a server asks in a result, and in the legacy one it may want pages opened by an error. Each question
is an exchange of its own; one that is refused refuses the response. Each answer is judged as the response to a question
that it is, besides being part of the request. Live questions of the legacy era are `server_requests.py`.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, Self

import anyio

from approvals.attendance import UNATTENDED, Attendance
from governance import jsontree
from governance.clock import Clock
from governance.exchange import Action, Body, Exchange, Phase
from governance.jsontree import Json, JsonObject
from governance.stage import Outcome, RefusedError
from governance.verdict import Decision, Verdict
from mcp_proxy.incoming import Inspecting
from mcp_proxy.lens import ANSWERS, ASKED, answered_actions, answering_segments, asking_segments
from mcp_proxy.message import Message, result_of
from mcp_proxy.server_requests import MOST_OPEN, Way, caused

INPUTS = "inputRequests"
_PAGES, _PAGE = "elicitations", "elicitation/create"
_METHODS = {action: method for method, action in ASKED.items()}
_TO_SERVER = {"direction": "to_server"}


class Gate(Protocol):
    """The guard, as questions in a response need it (`pipeline.guard.Guard`)."""

    def passage(self, exchange: Exchange, attendance: Attendance = UNATTENDED) -> AbstractAsyncContextManager[Way]:
        """The way of one exchange."""
        ...


# -- questions ------------------------------------------------------------------------------------------------------


@dataclass
class Together:
    """Questions that may only go on together: no approval is used up before nothing stands against any of them.

    Otherwise the approval of one would be spent on a response that waits for another, and be asked for again.
    """

    awaited: int
    """Questions of which it is not known yet."""
    agreed: bool = True
    settled: anyio.Event = field(default_factory=anyio.Event)

    def arrive(self, *, well: bool) -> None:
        """It is known of one more question whether something stands against it."""
        self.awaited -= 1
        self.agreed = self.agreed and well
        if self.awaited == 0 or not well:
            self.settled.set()


class Party:
    """One of them (`approvals.attendance.Attendance`): enter it around the question's passage."""

    def __init__(self, together: Together, attendance: Attendance) -> None:
        self.seconds = attendance.seconds
        self._together = together
        self._attendance = attendance
        self._arrived = False

    @property
    def present(self) -> bool:
        """Whether the client still waits for the response; see `Attendance.present`."""
        return self._attendance.present

    def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AbstractAsyncContextManager[None]:
        """What is done for the client; see `Attendance.waiting`."""
        return self._attendance.waiting(ticket_id, link, detached=detached)

    async def objection(self) -> Verdict | None:
        """Whether something stands against one of the others; see `Attendance.objection`."""
        objection = await self._attendance.objection()
        self.arrive(well=objection is None)
        await self._together.settled.wait()
        return objection or (None if self._together.agreed else _OTHERS)

    def arrive(self, *, well: bool) -> None:
        """It is known whether something stands against this question."""
        if not self._arrived:
            self._arrived = True
            self._together.arrive(well=well)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.arrive(well=error is None)


_OTHERS = Verdict(
    Decision.DENY,
    by="approval",
    rule="approval.others",
    reason="it is approved, and waits for others that it belongs to",
)


def asks(message: Message) -> bool:
    """Whether questions to the client stand in a response."""
    return INPUTS in result_of(message) or bool(_pages(message))


async def judged_inputs(
    gate: Gate, clock: Clock, cause: Exchange, message: Message, attendance: Attendance = UNATTENDED
) -> Message:
    """A response with the questions in it that may be put to the client; the very same one where nothing changed.

    They stand in `inputRequests` of a result, or are the pages of an error (-32042 of 2025-11-25).

    Args:
        gate: the guard.
        clock: the time.
        cause: the exchange that the response answers.
        message: the response.
        attendance: waits with the client of each question that is held.

    Raises:
        RefusedError: one of them may not, so the response may not leave.
    """
    if not asks(message):
        return message
    result = result_of(message)
    asked = jsontree.as_object(result.get(INPUTS))
    questions: list[Json] = [*asked.values()] or [{"method": _PAGE, "params": page} for page in _pages(message)]
    if len(questions) > MOST_OPEN:
        reason = f"the server asks more than {MOST_OPEN} questions at once"
        raise RefusedError(Verdict(Decision.DENY, by="guard", rule="questions.many", reason=reason), "")
    judged = await _all_judged(gate, clock, cause, questions, attendance)
    if all(one is question for one, question in zip(judged, questions, strict=True)):
        return message
    if asked:
        kept: JsonObject = dict(zip(asked, judged, strict=True))
        return Message.build({**message.value, "result": {**result, INPUTS: kept}})
    error = jsontree.as_object(message.value.get("error"))
    shown: list[Json] = [jsontree.as_object(one).get("params") for one in judged]
    data: JsonObject = {**jsontree.as_object(error.get("data")), _PAGES: shown}
    return Message.build({**message.value, "error": {**error, "data": data}})


async def _all_judged(
    gate: Gate, clock: Clock, cause: Exchange, questions: list[Json], attendance: Attendance
) -> list[Json]:
    """The questions as they may be put to the client.

    Raises:
        RefusedError: one of them may not.
    """
    together, judged, failures = Together(len(questions)), list(questions), list[Exception]()

    async def one(place: int) -> None:
        try:
            with Party(together, attendance) as party:
                judged[place] = await _judged_input(gate, clock, cause, questions[place], party)
        except Exception as error:  # noqa: BLE001 - raised again outside of the group, which would wrap it
            failures.append(error)

    async with anyio.create_task_group() as group:
        for place in range(len(questions)):
            group.start_soon(one, place)
    if failures:
        raise min(failures, key=_weight)
    return judged


def _weight(error: Exception) -> int:
    """Which of several failures is told: what broke, then what was refused, then what waits for a person."""
    if not isinstance(error, RefusedError):
        return 0
    if error.verdict is _OTHERS:
        return 3
    return 2 if error.ticket else 1


async def _judged_input(gate: Gate, clock: Clock, cause: Exchange, entry: Json, party: Party) -> Json:
    """One question as it may be put to the client; the very same one where nothing changed."""
    method = jsontree.as_text(jsontree.as_object(entry).get("method"))
    body = Body(entry, lens=asking_segments)
    async with gate.passage(caused(cause, ASKED.get(method, Action.MESSAGE), method, body, clock), party) as way:
        party.arrive(well=True)
        judged = way.exchange.request
        await way.settle(Outcome("ok"))
    return entry if judged is body else judged.value


def _pages(message: Message) -> list[Json]:
    """The pages that a server wants opened before a call."""
    error = jsontree.as_object(message.value.get("error"))
    return jsontree.as_list(jsontree.as_object(error.get("data")).get(_PAGES))


# -- answers --------------------------------------------------------------------------------------------------------


async def judged_answers(gate: Inspecting, clock: Clock, cause: Exchange, message: Message) -> Message:
    """A request with the answers in it that may go to the server; the very same one where nothing changed.

    Raises:
        RefusedError: one of them may not, so the request may not be made.
    """
    given = jsontree.as_object(message.params.get(ANSWERS))
    judged: JsonObject = {key: await _judged_answer(gate, clock, cause, answer) for key, answer in given.items()}
    if all(judged[key] is given[key] for key in given):
        return message
    return Message.build({**message.value, "params": {**message.params, ANSWERS: judged}})


async def _judged_answer(gate: Inspecting, clock: Clock, cause: Exchange, answer: Json) -> Json:
    """One answer, judged as the response to every kind of question that it could be taken to answer."""
    for action in answered_actions(answer):
        exchange = caused(cause, action, _METHODS.get(action, ""), Body({}), clock)
        exchange = replace(exchange, facts={**exchange.facts, **_TO_SERVER})
        body = Body({"result": answer}, lens=answering_segments(action))
        told = await gate.inspect(replace(exchange, response=body), Phase.RESPONSE)
        if told.response is not None and told.response is not body:
            answer = jsontree.as_object(told.response.value).get("result")
    return answer
