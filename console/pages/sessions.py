"""Runs of agents: the list, the timeline of one, and its switch."""

from starlette.responses import RedirectResponse, Response

from approvals.desk import plain
from console.events import Event
from console.frame import Frame, Visit
from console.plots import timeline
from sessions.killswitch import Kill, Scope
from sessions.roll import Run


async def index(frame: Frame, visit: Visit) -> Response:
    """The runs that were seen last."""
    runs = [run for run in await frame.core.runs.newest(200) if visit.visitor.sees(run.tenant)]
    labels = await frame.core.labels.store.listed(run.id for run in runs)
    return await frame.draw(visit, "sessions.html", runs=runs, killed=await killed(frame), labels=labels)


async def show(frame: Frame, visit: Visit) -> Response:
    """One run on its timeline."""
    run = await find(frame, visit)
    if run is None:
        return frame.notice("no such session", "there is no session with this id, or it is not for you to see", 404)
    events = await events_of(frame, run)
    return await frame.draw(
        visit,
        "session.html",
        run=run,
        kill=(await killed(frame)).get(run.id),
        labels=(await frame.core.labels.store.listed([run.id])).get(run.id, []),
        started=await frame.core.runs.children(run.id),
        events=list(reversed(events)),
        drawing=timeline(events),
    )


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


async def events_of(frame: Frame, run: Run) -> list[Event]:
    """What happened in a run, oldest first, before it could be joined too."""
    parts = [] if run.joined_id else await frame.core.runs.parts(run.id)
    return await frame.events.of_session(run.id, parts)


async def killed(frame: Frame) -> dict[str, Kill]:
    """The runs that are stopped or on probation, by id."""
    kills = await frame.core.kills.store.in_force(now=True)
    return {target: kill for (scope, target), kill in kills.items() if scope is Scope.SESSION}
