"""The same decisions for programs: JSON under `/console/api/`, with the key of an approver or administrator.

A browser's session may be used too, with the token of its page in `x-csrf-token`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from approvals.amendment import AmendmentError
from approvals.quorum import Vote, form_of
from approvals.terms import GrantError, wish_of
from approvals.ticket import ReliefError, State, Ticket
from console.events import Event
from console.frame import FORM_BYTES, Endpoint, Frame, Visit
from console.pages import approvals, batch, servers, sessions
from console.roles import NEEDS, ForbiddenError, Permission, check, place_of
from governance import jsontree
from governance.clock import rfc3339
from governance.identity.directory import IdentityStaleError
from governance.jsontree import Json, JsonObject
from pipeline.border import BadRequestError, read_body
from sessions.index.lists.told import told
from sessions.index.lists.wanted import FilterError, Listed, wanted_of
from sessions.index.lists.wanted import State as Standing
from sessions.killswitch import Kill
from sessions.labels.book import Label

Answer = Callable[[Frame, Visit], Awaitable[Response]]
LIMIT = 200
CONTENT = frozenset({"content"})
"""Fields of events that hold what was said in a call, be it masked."""


def endpoint(frame: Frame, handler: Answer) -> Endpoint:
    """A handler behind the door: who asks is known, and a change by cookie comes from a page of ours."""

    async def serve(request: Request) -> Response:
        try:
            visitor = await frame.access.visitor(request)
            if visitor is None:
                return await _turned_away(frame, request)
            check(visitor.role, NEEDS.get(place_of(request.scope)))
            if request.method == "POST" and visitor.csrf:
                frame.access.check_form(request, visitor, request.headers.get("x-csrf-token", ""))
            return await handler(frame, Visit(request, visitor, {}))
        except ForbiddenError as error:
            return problem(403, "forbidden", str(error))
        except BadRequestError as error:
            return problem(error.status, error.code, error.message)
        except IdentityStaleError as error:
            return problem(503, "unavailable", str(error))

    return serve


async def _turned_away(frame: Frame, request: Request) -> Response:
    """A page whose session has ended goes on asking for a while; only whoever shows a credential has failed with it."""
    tried = "authorization" in request.headers
    wait = await frame.access.refused(request, "api", "unknown") if tried else 0
    if wait:
        return problem(429, "crowded", f"too many failed to come in from here: wait {wait} s")
    return problem(401, "unauthenticated", "send the key of a person as a bearer")


async def list_tickets(frame: Frame, visit: Visit) -> Response:
    """Tickets, newest first; `?state=pending` for those of one state."""
    asked = visit.request.query_params.get("state", "")
    if asked and asked not in list(State):
        raise BadRequestError(400, "malformed", f"`state` is one of {', '.join(State)}")
    found = await frame.core.desk.tickets([State(asked)] if asked else [], LIMIT, visit.visitor.tenant)
    return json({"tickets": [_ticket(frame, one) for one in found]})


async def show_ticket(frame: Frame, visit: Visit) -> Response:
    """One ticket with the whole call."""
    ticket = await approvals.find(frame, visit)
    return (
        _no_ticket()
        if ticket is None
        else json({**_ticket(frame, ticket), "call": ticket.bound, "edited": ticket.edited_arguments})
    )


async def decide_ticket(frame: Frame, visit: Visit) -> Response:
    """Approve or deny. A `digest` in the body must be the ticket's, so that nobody approves what they did not see.

    `grant` allows further calls with it (`approvals.terms.wish_of`). Of a ticket of a loop, `relief` allows more than
    the call: `"exempt"`, or how many further times (`"10"`).
    """
    body = await body_of(visit.request)
    ticket = await approvals.find(frame, visit)
    if ticket is None:
        return _no_ticket()
    digest, arguments = body.get("digest"), body.get("arguments")
    if digest is not None and digest != ticket.current:
        return problem(409, "digest", "this is not the call with that digest: look again")
    if visit.move == "approve" and arguments is not None and not (isinstance(arguments, dict) and digest):
        return problem(400, "malformed", "`arguments` is an object, and needs the `digest` of the call that it changes")
    reason, relief = (jsontree.as_text(body.get(name)) for name in ("reason", "relief"))
    wanted = jsontree.as_object(arguments) if arguments is not None else None
    try:
        grant = wish_of(jsontree.as_object(body["grant"])) if "grant" in body else None
        decided = await approvals.settle(
            frame, visit, ticket, reason, relief=relief, digest=jsontree.as_text(digest), arguments=wanted, grant=grant
        )
    except (AmendmentError, GrantError) as error:
        return problem(400, "grant" if isinstance(error, GrantError) else "malformed", str(error))
    except (ReliefError, ValueError) as error:
        return problem(400, "relief", str(error))
    if decided is not None and decided.refusal:
        return problem(403, "not_yours", f"nothing was changed: {decided.refusal}")
    if decided is None or not decided.made:
        return problem(409, "settled", "nothing was changed: the ticket was settled before")
    return json(_ticket(frame, decided.ticket))


async def decide_tickets(frame: Frame, visit: Visit) -> Response:
    """Approve or deny several, each with its digest; says of each whether that was done."""
    body = await body_of(visit.request)
    results = await batch.each(frame, visit, batch.listed(body), jsontree.as_text(body.get("reason")))
    told: list[Json] = [
        {"id": one.ticket, "done": one.done, "state": one.state, "message": one.said} for one in results
    ]
    return json({"done": sum(one.done for one in results), "tickets": told})


async def list_servers(frame: Frame, _: Visit) -> Response:
    """How every configured MCP server is."""
    listed: list[Json] = [asdict(one) for one in await servers.reports(frame)]
    return json({"servers": listed})


async def list_sessions(frame: Frame, visit: Visit) -> Response:
    """Runs, the newest first, filtered as the page of sessions is; `next` is the `before` of the next page."""
    await frame.follower.catch_up()
    try:
        page = await sessions.listed_page(frame, visit, wanted_of(visit.request.query_params))
    except FilterError as error:
        raise BadRequestError(400, "malformed", str(error)) from None
    labels = await frame.core.labels.store.listed(one.run.id for one in page.sessions)
    listed: list[Json] = [_session(one, labels.get(one.run.id, [])) for one in page.sessions]
    return json({"sessions": listed, **({"next": page.next} if page.next else {})})


def _session(one: Listed, labels: Sequence[Label]) -> JsonObject:
    stopped = {"killed": one.state is Standing.KILLED, "probation": one.state is Standing.PROBATION}
    return {**told(one), **stopped, "labels": [label.label for label in labels]}


async def show_session(frame: Frame, visit: Visit) -> Response:
    """One run with its events, oldest first."""
    run = await sessions.find(frame, visit)
    if run is None:
        return problem(404, "unknown", "there is no session with this id, or it is not for you to see")
    events = await sessions.events_of(frame, run)
    stopped = await sessions.killed(frame)
    whole = visit.visitor.may(Permission.AUDIT)
    listed: list[Json] = [_event(one, whole=whole) for one in events]
    labels = (await frame.core.labels.store.listed([run.id])).get(run.id, [])
    shown: list[Json] = [asdict(one) for one in labels]
    return json({**asdict(run), **_switch(stopped.get(run.id)), "labels": shown, "events": listed})


async def switch_session(frame: Frame, visit: Visit) -> Response:
    """Kill or revive a run. A run that was never seen may be stopped too, before it begins."""
    body = await body_of(visit.request)
    run = await sessions.find(frame, visit)
    session, kill = run.id if run else visit.request.path_params["session"], visit.move == "kill"
    changed = await sessions.throw(
        frame, visit, session, kill=kill, reason=jsontree.as_text(body.get("reason")),
        probation=body.get("probation") is True,
    )  # fmt: skip
    return json({"session": session, "killed": kill, "changed": changed})


def _switch(kill: Kill | None) -> JsonObject:
    probation = kill is not None and kill.probation
    return {"killed": kill is not None and not probation, "probation": probation}


async def body_of(request: Request) -> JsonObject:
    """The object in the body of a request; nothing at all is an empty one.

    Raises:
        BadRequestError: it is no JSON object, or too large.
    """
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return {}
    raw = await read_body(request.scope, request.receive, limit=FORM_BYTES)
    try:
        value = jsontree.parse(raw)
    except jsontree.MalformedError as error:
        raise BadRequestError(400, "malformed", str(error)) from None
    if not isinstance(value, dict):
        raise BadRequestError(400, "malformed", "send a JSON object")
    return value


def _ticket(frame: Frame, ticket: Ticket) -> JsonObject:
    return {
        "id": ticket.id,
        "state": ticket.state.value,
        "action": ticket.field("action"),
        "server": ticket.field("server"),
        "tool": ticket.field("name"),
        "provider": ticket.field("provider"),
        "model": ticket.field("model"),
        "session": ticket.field("session"),
        "principal": ticket.bound.get("principal"),
        "rule": ticket.rule,
        "reason": ticket.reason,
        "findings": list(ticket.findings),
        "digest": ticket.digest,
        "edited_digest": ticket.edited_digest,
        "policy_version": ticket.field("policy"),
        "requested_at": rfc3339(ticket.requested_at),
        "expires_at": rfc3339(ticket.expires_at),
        "approvers": form_of(ticket.charters),
        "escalated_to": list(ticket.escalated_to(frame.core.clock.now())),
        "approvals": ticket.standing.have,
        "quorum": ticket.standing.wanted,
        "decisions": [_vote(one) for one in ticket.votes],
        "decided_at": rfc3339(ticket.decided_at) if ticket.decided_at else None,
        "decided_by": ticket.decided_by,
        "decision_reason": ticket.decision_reason,
        "relief": ticket.relief.text,
        "grant": None if ticket.terms is None else ticket.terms.form,
        "link": frame.core.desk.link(ticket.id),
    }


def _vote(vote: Vote) -> JsonObject:
    return {
        "by": vote.by.name,
        "on_behalf_of": vote.on_behalf.name if vote.on_behalf else "",
        "decision": vote.decision,
        "digest": vote.digest,
        "reason": vote.reason,
        "at": rfc3339(vote.at),
    }


def _event(event: Event, *, whole: bool) -> JsonObject:
    """An event; what a call held stays with those who may read the log."""
    fields: JsonObject = {
        name: list(value) if isinstance(value, list) else value
        for name, value in event.fields.items()
        if whole or name not in CONTENT
    }
    return {"seq": event.seq, "hash": event.hash, **fields}


def _no_ticket() -> Response:
    return problem(404, "unknown", "there is no ticket with this id, or it is not for you to see")


def problem(status: int, code: str, message: str) -> Response:
    """What is told instead of an answer."""
    return json({"error": {"code": code, "message": message}}, status)


def json(value: JsonObject, status: int = 200) -> Response:
    """An answer."""
    return Response(jsontree.dump(value), status, media_type="application/json")
