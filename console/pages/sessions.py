"""Runs of agents: the list that can be filtered, the timeline of one, and its switch."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from approvals.desk import plain
from console.access import Visitor
from console.events import Event
from console.frame import Frame, Visit
from console.plots import timeline
from governance.verdict import Decision
from sessions.index.lists.wanted import FilterError, Page, State, Wanted, stopped_by, wanted_of
from sessions.index.reading import Kind
from sessions.killswitch import InForce, Kill, Scope
from sessions.roll import Run

EVENTS = 200
"""Events of a page of a session, and so marks of its drawing."""
MOST_PARTS = 40
MOST_KIN = 60
"""Runs of a tree."""
DEEPEST = 6
MARKS = {
    State.KILLED: ("kill", "stopped"),
    State.PROBATION: ("hold", "on probation"),
    State.WAITING: ("hold", "waiting for a person"),
    State.ACTIVE: ("allow", "active"),
    State.ENDED: ("quiet", "ended"),
}
"""Colour and words of each state."""


async def index(frame: Frame, visit: Visit) -> Response:
    """The list, newest first, as the address filters it."""
    asked = visit.request.query_params
    behind, problem = await frame.follower.catch_up(), ""
    try:
        wanted = wanted_of(asked)
    except FilterError as error:
        wanted, problem = Wanted(), str(error)
    page = Page(()) if problem else await listed_page(frame, visit, wanted)
    return await frame.draw(
        visit,
        "sessions.html",
        status=400 if problem else 200,
        problem=problem,
        behind=behind,
        page=page,
        wanted=wanted,
        given={name: asked.get(name, "") for name in wanted.__slots__},
        first=not asked.get("before"),
        older=urlencode({**wanted.given, "before": page.next}),
        states=list(State),
        decisions=[one.value for one in Decision if one is not Decision.ALLOW],
        marks=MARKS,
    )


async def listed_page(frame: Frame, visit: Visit, wanted: Wanted) -> Page:
    """The page of the list that the address names."""
    before = visit.request.query_params.get("before", "")
    kills, now = await frame.core.kills.store.in_force(now=True), frame.core.clock.now()
    return await frame.lists.page(wanted, kills, now, before=before, tenant=visit.visitor.tenant)


async def show(frame: Frame, visit: Visit) -> Response:
    """One run on its timeline."""
    run = await find(frame, visit)
    if run is None:
        return frame.notice("no such session", "there is no session with this id, or it is not for you to see", 404)
    asked = visit.request.query_params
    before, after = place_of(asked.get("before", "")), place_of(asked.get("after", ""))
    behind = await frame.follower.catch_up()
    kills, now = await frame.core.kills.store.in_force(now=True), frame.core.clock.now()
    known = await frame.lists.one(run, kills, now)
    return await frame.draw(
        visit,
        "session.html",
        run=run,
        known=known,
        behind=behind,
        kill=stopped_by(run, kills),
        own=kills.get((Scope.SESSION, run.id)),
        mark=MARKS[known.state],
        labels=(await frame.core.labels.store.listed([run.id])).get(run.id, []),
        tree=await _tree(frame, run, visit, kills),
        subagents=_subagents(known.named.get(Kind.SUBAGENT, {})),
        live=before is None and after is None,
        **await _events(frame, run, before, after),
    )


async def listed(frame: Frame, run: Run, visitor: Visitor) -> str:
    """The newest events with their drawing, as a piece of a page."""
    return frame.part("session_events.html", visitor=visitor, run=run, **await _events(frame, run, None, None))


async def _events(frame: Frame, run: Run, before: int | None, after: int | None) -> dict[str, Any]:
    """A page of events, and whether there are older and newer ones."""
    parts = await parts_of(frame, run)
    found = await frame.events.of_session(run.id, parts, EVENTS + 1, before=before, after=after)
    more = len(found) > EVENTS
    events = found[:EVENTS] if after is not None else found[-EVENTS:]
    edges = [one.seq for one in (events[0], events[-1])] if events else [0, 0]
    older = edges[0] if (after is not None and after >= 0) or (after is None and more) else None
    newer = edges[1] if (before is not None and before > 0) or (after is not None and more) else None
    return {"events": list(reversed(events)), "drawing": timeline(events), "older": older, "newer": newer}


async def switch(frame: Frame, visit: Visit) -> Response:
    """Kill or revive, as the button says."""
    run = await find(frame, visit)
    if run is None:
        return frame.notice("no such session", "there is no session with this id, or it is not for you to see", 404)
    kill = visit.move == "kill"
    probation = visit.form.get("probation") == "1"
    await throw(frame, visit, run.id, kill=kill, reason=visit.form.get("reason", ""), probation=probation)
    return RedirectResponse(f"/console/sessions/{run.id}", 303)


async def throw(
    frame: Frame, visit: Visit, session_id: str, *, kill: bool, reason: str, probation: bool = False
) -> bool:
    """Stop or revive a run, with `probation` by half; false if nothing had to be done."""
    kills, actor = frame.core.kills, visit.visitor.name
    if not kill:
        return await kills.revive(Scope.SESSION, session_id, reason=plain(reason), actor=actor, probation=probation)
    said = plain(reason) or "stopped on the console"
    return await kills.kill(Scope.SESSION, session_id, reason=said, actor=actor)


async def find(frame: Frame, visit: Visit) -> Run | None:
    """The run that a path names, or that this turned out to be part of, if it is this person's affair."""
    run = await frame.core.runs.get(visit.request.path_params["session"])
    if run is not None and run.joined_id:
        run = await frame.core.runs.get(run.joined_id) or run
    return run if run is not None and visit.visitor.sees(run.tenant) else None


async def parts_of(frame: Frame, run: Run) -> list[str]:
    """The sessions that turned out to be part of a run."""
    return [] if run.joined_id else (await frame.core.runs.parts(run.id))[:MOST_PARTS]


async def events_of(frame: Frame, run: Run) -> list[Event]:
    """What happened in a run, oldest first, before it could be joined too."""
    return await frame.events.of_session(run.id, await parts_of(frame, run))


async def killed(frame: Frame) -> dict[str, Kill]:
    """The runs that are stopped or on probation, by id."""
    kills = await frame.core.kills.store.in_force(now=True)
    return {target: kill for (scope, target), kill in kills.items() if scope is Scope.SESSION}


def place_of(text: str) -> int | None:
    """A place in the log as an address has it; None for anything else. `-1` is before the first."""
    if text == "-1":
        return -1
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@dataclass(frozen=True, slots=True)
class Kin:
    """A run in the tree of those that started one another."""

    run: Run
    stopped: bool
    started: "list[Kin]"


async def _tree(frame: Frame, run: Run, visit: Visit, kills: InForce) -> Kin | None:
    """The run among its kin: from the first that started any of them, at most `MOST_KIN`; None where it has none."""
    first, left = run, MOST_KIN
    for _ in range(DEEPEST):
        above = await frame.core.runs.get(first.parent_id) if first.parent_id else None
        if above is None or not visit.visitor.sees(above.tenant) or above.id in (first.id, run.id):
            break
        first = above
    met: set[str] = set()

    async def grown(one: Run, depth: int) -> Kin:
        nonlocal left
        met.add(one.id)
        below = await frame.core.runs.children(one.id) if depth < DEEPEST else []
        started: list[Kin] = []
        for child in below:
            if left > 0 and child.id not in met and visit.visitor.sees(child.tenant):
                left -= 1
                started.append(await grown(child, depth + 1))
        return Kin(one, stopped_by(one, kills) is not None, started)

    whole = await grown(first, 0)
    return whole if whole.started else None


def _subagents(named: Any) -> list[tuple[int, str, int]]:
    """Sub-agents inside the run as a tree: depth, name, and in how many events each acted."""
    above = {name.partition(" ")[0]: name.partition(" ")[2] for name in named}
    counts = {name.partition(" ")[0]: count for name, count in named.items()}
    found: list[tuple[int, str, int]] = []

    def add(of: str, depth: int) -> None:
        for name in sorted(above):
            if above[name] == of and depth < DEEPEST and name not in {one for _, one, _ in found}:
                found.append((depth, name, counts[name]))
                add(name, depth + 1)

    for root in ["", *sorted(set(above.values()) - set(above) - {""})]:
        if root:
            found.append((0, root, 0))
        add(root, 1 if root else 0)
    return found
