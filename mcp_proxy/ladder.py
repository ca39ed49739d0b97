"""How an approval is delivered to an MCP client: by what the client can do, as it says in that very request.

Sans-io: a request in, what to do with it out; a refusal that waits for a person in, the answer out. Whatever the rung,
the ticket behind it is the same, every leg is a new exchange that the whole pipeline judges, and what comes back from
a client is only believed where we sealed it. Waiting with the client is `attendance.py`; the desk is asked by
`delivery.py`.
"""

from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.stage import RefusedError
from mcp_proxy import errors
from mcp_proxy.lens import Caller
from mcp_proxy.link import Era
from mcp_proxy.message import INVALID_PARAMS, MalformedMessageError, Message
from mcp_proxy.sdk import CLIENT_CAPABILITIES_META_KEY, INPUT_REQUIRED_METHODS, URL_ELICITATION_REQUIRED
from mcp_proxy.sealing import Claims, Seal, UnsealedError
from mcp_proxy.tasks.ids import wants_task
from mcp_proxy.tasks.task import declares_tasks

MOST_ROUNDS = 10
"""Answers that ask the client to come back. The SDKs of Python, TypeScript, Go and C# give up beyond it."""
LONGEST_LEG_SECONDS = 45.0
"""Clients give up on one request after 60 s (TypeScript SDK, both lines)."""
MOST_KEPT_BYTES = 256 * 1024
"""Of a held retry: the server's state and the client's answers to it, which travel sealed until a person decided."""
REASON_CHARACTERS = 500

_ANSWERS, _STATE = "inputResponses", "requestState"


class Rung(StrEnum):
    """How the client is told that a person must decide."""

    HOLD = "hold"
    """It waits, and is then told that the call is pending and may be made again. Every client can do that."""
    URL = "url"
    """Modern: it is asked to open the page of the ticket, and comes back with a sealed state."""
    FORM = "form"
    """Modern, where the configuration lets the person at the client decide: a form with yes or no."""
    STATE = "state"
    """Modern: it comes back with a sealed state and waits on, leg by leg."""
    TASK = "task"
    """With the extension for tasks, or in 2025-11-25 where the call asks for a task: it is given one, and asks for it
    by id (`mcp_proxy/tasks`)."""
    URL_ERROR = "url_error"
    """2025-11-25, where the configuration says so: the error that asks it to open the page."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person at the client answered to the form."""

    approve: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Leg:
    """One request that may be held, and what it says about an earlier one."""

    message: Message
    """What is judged and forwarded: nothing of ours is in it."""
    rung: Rung = Rung.HOLD
    """How the client is answered if the call must wait on."""
    asks: Rung = Rung.HOLD
    """How it is answered if another ticket than before is asked about."""
    seconds: float | None = None
    """How long it may wait now; None = as long as the configuration says."""
    rounds: int = 0
    """How often it was asked to come back."""
    ticket: str = ""
    """What it was asked to come back for."""
    choice: Choice | None = None
    bound: str = ""
    """Digest of caller and call; empty where no rung needs it."""
    question: bool = False
    """Whether it is a question of the server that is held, and not the call."""

    def going_on(self, state: Json) -> "Leg":
        """The leg whose retry goes on where the server asked something that is held, instead of calling anew.

        Args:
            state: `requestState` of the result with the question; None where there was none.
        """
        if state is None:
            return self
        return replace(self, message=_with(self.message, {_STATE: state}), question=True)

    def rung_for(self, ticket: str) -> Rung:
        """How the client is answered about a ticket."""
        return self.rung if self.ticket in ("", ticket) else self.asks


@dataclass(frozen=True)
class Ladder:
    """Chooses the rung of every request, and says what its client is told."""

    seal: Seal
    wait_seconds: float
    """How long a call is held at a time; 0 = not at all."""
    keeps_seconds: float
    """How long a sealed state is good for."""
    in_band: bool = False
    """Whether there are calls that the person at the client may decide."""
    url_errors: bool = False
    """Whether clients of 2025-11-25 are told of pages by an error."""
    open_pages: bool = True
    """Whether clients of 2026-07-28 are asked to open pages."""
    tasks: bool = False
    """Whether clients that know tasks are given one."""

    def leg(
        self,
        message: Message,
        caller: Caller,
        now: datetime,
        told: Container[str] = (),
        *,
        gives_tasks: bool = False,
    ) -> Leg:
        """Read a governed request.

        Args:
            message: as the client sent it.
            caller: who sent it.
            now: the time.
            told: digests (`Leg.bound`) of calls for which this session was given the error `-32042` already.
            gives_tasks: whether the server told this session that it makes tasks (2025-11-25).

        Raises:
            MalformedMessageError: its `requestState` looks like ours and is not good for this request.
        """
        if message.method not in INPUT_REQUIRED_METHODS:
            return Leg(message)
        token = message.params.get(_STATE)
        sealed = token if isinstance(token, str) and self.seal.is_ours(token) else None
        answers = jsontree.as_object(message.params.get(_ANSWERS))
        if sealed is None:
            bare = self._without_answer(message, answers)
            if self.tasks and gives_tasks and caller.era is Era.LEGACY and wants_task(message):
                return Leg(bare, Rung.TASK, Rung.TASK, seconds=0)
            return self._first(Leg(bare), caller, told)
        bound = _bound(message, caller)
        try:
            claims = self.seal.open(sealed, bound, now)
        except UnsealedError:
            raise MalformedMessageError(
                "`requestState` is not good for this request: it was altered, it ran out, or it belongs to another "
                "call; make the call again without it",
                code=INVALID_PARAMS,
                request_id=message.id,
            ) from None
        bare = _with(message, claims.kept)
        first = self._first(Leg(bare), caller, told)
        leg = replace(first, rounds=claims.rounds, ticket=claims.ticket, bound=bound)
        return self._answered(leg, claims, answers.get(self.seal.name))

    def answer(self, error: RefusedError, leg: Leg, caller: Caller, now: datetime) -> Message | None:
        """What the client is told instead of `pending`; None where `pending` is what it must be told.

        Args:
            error: the refusal; anything but a call that waits for a person is none of this file's business.
            leg: the request.
            caller: who sent it.
            now: the time.
        """
        rung = leg.rung_for(error.ticket)
        if not error.ticket or rung in (Rung.HOLD, Rung.TASK):
            return None
        if rung is Rung.URL_ERROR:
            return _url_error(error, leg.message)
        kept = {name: leg.message.params[name] for name in (_ANSWERS, _STATE) if name in leg.message.params}
        if leg.rounds >= MOST_ROUNDS or len(jsontree.dump(kept)) > MOST_KEPT_BYTES:
            return None
        opened = rung is Rung.STATE
        claims = Claims(leg.bound or _bound(leg.message, caller), error.ticket, leg.rounds + 1, opened, kept)
        result: JsonObject = {
            "resultType": "input_required",
            _STATE: self.seal.close(claims, now.timestamp() + self.keeps_seconds),
            "_meta": {errors.VERDICT_KEY: errors.told(error)},
        }
        if not opened:
            params = _page(error) if rung is Rung.URL else _form(error)
            result["inputRequests"] = self._question(params)
        return Message.build({"jsonrpc": "2.0", "id": leg.message.id, "result": result})

    def asked_in_task(self, error: RefusedError, leg: Leg, *, in_band: bool) -> JsonObject:
        """What the client of a task is asked, if it can be: to open the page, or to fill in the form.

        Args:
            error: the refusal that waits for a person.
            leg: the request that is given a task.
            in_band: whether the person at this client may decide this call.
        """
        kinds = _elicitation(leg.message.meta.get(CLIENT_CAPABILITIES_META_KEY))
        if "url" in kinds and self.open_pages:
            return self._question(_page(error))
        return self._question(_form(error)) if "form" in kinds and in_band else {}

    def without_task(self, leg: Leg, era: Era) -> Leg:
        """The leg of a client that is not given a task although it knows them."""
        rungs = {Rung.TASK: self._waits if era is Era.MODERN else Rung.HOLD}
        return replace(leg, rung=rungs.get(leg.rung, leg.rung), asks=rungs.get(leg.asks, leg.asks))

    def _question(self, params: JsonObject) -> JsonObject:
        return {self.seal.name: {"method": "elicitation/create", "params": params}}

    def out_of_band(self, leg: Leg) -> Leg:
        """The leg of a call that the person at the client may not decide."""
        rungs = {Rung.FORM: self._waits}
        return replace(leg, rung=rungs.get(leg.rung, leg.rung), asks=rungs.get(leg.asks, leg.asks))

    # -- the rungs --------------------------------------------------------------------------------------------------

    def _first(self, leg: Leg, caller: Caller, told: Container[str]) -> Leg:
        """The leg of a request that comes without a state of ours."""
        if caller.era is Era.LEGACY:
            return self._legacy(leg, caller, told)
        if self.tasks and leg.message.method == "tools/call" and declares_tasks(leg.message):
            return replace(leg, rung=Rung.TASK, asks=Rung.TASK, seconds=0)
        kinds = _elicitation(leg.message.meta.get(CLIENT_CAPABILITIES_META_KEY))
        if "url" in kinds and self.open_pages:
            return replace(leg, rung=Rung.URL, asks=Rung.URL, seconds=0)
        if "form" in kinds and self.in_band:
            return replace(leg, rung=Rung.FORM, asks=Rung.FORM, seconds=0)
        return replace(leg, rung=self._waits, asks=self._waits, seconds=self._leg_seconds)

    def _legacy(self, leg: Leg, caller: Caller, told: Container[str]) -> Leg:
        """A client that says it opens pages need not do so ("declared is not rendered"): only if so configured."""
        if not self.url_errors or "url" not in _elicitation(caller.capabilities):
            return leg
        bound = _bound(leg.message, caller)
        return leg if bound in told else replace(leg, rung=Rung.URL_ERROR, asks=Rung.URL_ERROR, seconds=0, bound=bound)

    def _answered(self, leg: Leg, claims: Claims, answer: Json) -> Leg:
        """The leg of a client that was asked before."""
        waits = replace(leg, rung=self._waits, seconds=self._leg_seconds)
        if claims.opened:
            return waits
        said = jsontree.as_object(answer)
        action = said.get("action")
        if action in ("decline", "cancel"):
            # Nobody decided: a client without a screen says so by itself. The agent is told where the decision is made.
            return replace(leg, rung=Rung.HOLD, asks=Rung.HOLD, seconds=0)
        if action != "accept":
            return leg  # a missing answer is asked for again (2026-07-28, "Multi Round-Trip Requests")
        if leg.asks is not Rung.FORM:
            return waits
        choice = choice_of(said.get("content"))
        return leg if choice is None else replace(waits, choice=choice)

    @property
    def _waits(self) -> Rung:
        """The rung of a client that only waits. Without any waiting it would come back at once, again and again."""
        return Rung.STATE if self.wait_seconds > 0 else Rung.HOLD

    @property
    def _leg_seconds(self) -> float:
        return min(self.wait_seconds, LONGEST_LEG_SECONDS)

    def _without_answer(self, message: Message, answers: JsonObject) -> Message:
        """The message without an answer to us that came without our state."""
        if self.seal.name not in answers:
            return message
        kept: JsonObject = {_STATE: message.params[_STATE]} if _STATE in message.params else {}
        others = {name: one for name, one in answers.items() if name != self.seal.name}
        return _with(message, {**kept, **({_ANSWERS: others} if others else {})})


def _with(message: Message, kept: JsonObject) -> Message:
    """The message with what the held call carried, in place of what this leg carries for us."""
    params = {name: one for name, one in message.params.items() if name not in (_ANSWERS, _STATE)}
    return Message.build({**message.value, "params": {**params, **kept}})


def _bound(message: Message, caller: Caller) -> str:
    """What a state is good for: this caller, making this call."""
    principal = caller.principal
    params = {name: one for name, one in message.params.items() if name not in ("_meta", _ANSWERS, _STATE)}
    return jsontree.digest(
        {
            "principal": [principal.key_id, principal.tenant, principal.team, principal.agent, principal.user],
            "server": caller.server,
            "method": message.method,
            "params": params,
        }
    )


def _elicitation(capabilities: Json) -> JsonObject:
    """The ways in which a client can ask its person, by the name of each; an empty object means `form`."""
    declared = jsontree.as_object(capabilities).get("elicitation")
    if not isinstance(declared, dict):
        return {}
    return {name: one for name, one in declared.items() if one is not None} or {"form": {}}


def choice_of(content: Json) -> Choice | None:
    """What the form was answered with, if it was."""
    said = jsontree.as_object(content)
    approve = said.get("approve")
    if not isinstance(approve, bool):
        return None
    return Choice(approve, jsontree.as_text(said.get("reason"))[:REASON_CHARACTERS])


def _page(error: RefusedError) -> JsonObject:
    text = "A person must decide about this call. Open the page to see the call, and approve or deny it there."
    return {"mode": "url", "url": error.link, "message": text}


def _form(error: RefusedError) -> JsonObject:
    text = f"Approve this call? It runs once, exactly as it was asked for (ticket {error.ticket})."
    return {
        "mode": "form",
        "message": text,
        "requestedSchema": {
            "type": "object",
            "properties": {
                "approve": {"type": "boolean", "title": "Approve", "description": "Yes lets the call run once."},
                "reason": {"type": "string", "title": "Reason", "maxLength": REASON_CHARACTERS},
            },
            "required": ["approve"],
        },
    }


def _url_error(error: RefusedError, request: Message) -> Message:
    """The error of 2025-11-25 that asks a client to open a page and to make the call again."""
    asked: JsonObject = {**_page(error), "elicitationId": error.ticket}
    data: JsonObject = {"elicitations": [asked], errors.VERDICT_KEY: errors.told(error)}
    value: JsonObject = {"code": URL_ELICITATION_REQUIRED, "message": str(asked["message"]), "data": data}
    return Message.build({"jsonrpc": "2.0", "id": request.id, "error": value})
