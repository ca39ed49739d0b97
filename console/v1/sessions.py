"""Runs of agents, and what happened in them."""

from typing import Annotated

from pydantic import Field

from console.api import CONTENT
from console.events import Event
from console.pages import sessions
from console.roles import Permission
from console.v1 import cursor
from console.v1.operation import Call, Operation, Paged, Time, moment
from console.v1.problems import ProblemError
from console.v1.shapes import Event as EventShape
from console.v1.shapes import Events, Label, Session, Sessions
from console.v1.store import Pages, Runs
from governance.audit.query import Wanted
from sessions.killswitch import Kill
from sessions.labels.book import Label as Carried
from sessions.roll import Run

ABSENT = ProblemError(404, "unknown", "there is no session with this id, or it is not for you to see")


class SessionQuery(Paged):
    """Which sessions."""

    tenant: str = Field(default="", description="Only of this tenant.")
    agent: str = ""
    key: str = Field(default="", description="Id of a key.")
    since: Annotated[Time, Field(description="Last seen at or after.")] = None
    until: Annotated[Time, Field(description="Last seen before.")] = None


async def list_sessions(call: Call) -> Sessions:
    """Those that were seen last first."""
    asked: SessionQuery = call.query
    core, mine = call.frame.core, call.visitor.tenant
    wanted = Runs(mine or asked.tenant, asked.agent, asked.key, moment(asked.since), moment(asked.until))
    if mine is not None and asked.tenant not in ("", mine):
        return Sessions(items=[], next=None)
    found = await Pages(core.store).runs(wanted, cursor.opened(asked.cursor), asked.limit + 1)
    runs = found[: asked.limit]
    killed, labels = await sessions.killed(call.frame), await core.labels.store.listed(run.id for run in runs)
    more = cursor.close(runs[-1].last_seen, runs[-1].id) if len(found) > asked.limit else None
    return Sessions(items=[_session(run, killed.get(run.id), labels.get(run.id, [])) for run in runs], next=more)


async def show_session(call: Call) -> Session:
    """One session; of a transport that was joined, the run that it is of."""
    run = await _found(call)
    labels = (await call.frame.core.labels.store.listed([run.id])).get(run.id, [])
    return _session(run, (await sessions.killed(call.frame)).get(run.id), labels)


async def list_events(call: Call) -> Events:
    """What happened in a session, oldest first."""
    asked: Paged = call.query
    run, after = await _found(call), cursor.number(asked.cursor)
    parts = [] if run.joined_id else await call.frame.core.runs.parts(run.id)
    found = [
        event
        for one in (run.id, *parts)
        for event in await call.frame.events.page(Wanted(session_id=one, after=after, limit=asked.limit + 1))
    ]
    events = sorted(found, key=lambda event: event.seq)
    shown = events[: asked.limit]
    whole = call.visitor.may(Permission.AUDIT)
    more = cursor.close(shown[-1].seq) if len(events) > asked.limit else None
    return Events(items=[event_of(one, whole=whole) for one in shown], next=more)


def event_of(event: Event, *, whole: bool) -> EventShape:
    """An event; what a call held stays with those who may read the log."""
    fields = {name: value for name, value in event.fields.items() if whole or name not in CONTENT}
    return EventShape.model_validate({"seq": event.seq, "hash": event.hash, "fields": fields})


async def _found(call: Call) -> Run:
    runs = call.frame.core.runs
    run = await runs.get(call.path["session"])
    if run is not None and run.joined_id:
        run = await runs.get(run.joined_id) or run
    if run is None or not call.visitor.sees(run.tenant):
        raise ABSENT
    return run


def _session(run: Run, kill: Kill | None, labels: list[Carried]) -> Session:
    probation = kill is not None and kill.probation
    return Session(
        id=run.id,
        key_id=run.key_id,
        tenant=run.tenant,
        agent=run.agent,
        plane=run.plane,
        evidence=run.evidence,
        rank=run.rank,
        source=run.source,
        verified=run.verified,
        parent_id=run.parent_id,
        joined_id=run.joined_id,
        first_seen=run.first_seen,
        last_seen=run.last_seen,
        killed=kill is not None and not probation,
        probation=probation,
        labels=[Label(label=one.label, source=one.source, exchange_id=one.exchange_id, at=one.at) for one in labels],
    )


OPERATIONS = (
    Operation(
        "listSessions", "GET", "/sessions", Permission.SESSIONS, "Sessions, those seen last first", Sessions,
        list_sessions, SessionQuery,
    ),
    Operation(
        "showSession", "GET", "/sessions/{session}", Permission.SESSIONS, "One session", Session, show_session,
        refusals={404: "there is none, or not for you"},
    ),
    Operation(
        "listSessionEvents", "GET", "/sessions/{session}/events", Permission.SESSIONS,
        "What happened in a session, oldest first", Events, list_events, Paged,
        refusals={404: "there is none, or not for you"},
    ),
)  # fmt: skip
