"""`wicket sessions`, `wicket kill` and `wicket revive`: what agents are doing, and stopping it."""

from dataclasses import asdict
from pathlib import Path

import anyio

from governance.jsontree import Json, JsonObject
from sessions.index.lists.store import SqlLists
from sessions.index.lists.told import told
from sessions.index.lists.wanted import Page, stopped_by
from sessions.killswitch import Kill, Scope
from sessions.labels.book import Label
from sessions.roll import Run
from sessions.witness import Carried
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.session_lists import FILTERS, caught_up, check, lines, listed_page, write_export
from wicket.terminal import reveal, table

LOOK_SECONDS = 0.1
"""How often it is looked whether a kill is confirmed."""


def list_sessions(situation: Situation) -> Exit:
    """List sessions, those that began last first."""
    options = situation.options
    check(options)

    async def work(office: Office) -> tuple[Page, dict[str, list[Label]]]:
        await caught_up(office, situation.terminal)
        page = await listed_page(office, options)
        return page, await office.labels.listed(one.run.id for one in page.sessions)

    page, labels = in_office(situation, work)
    found: list[JsonObject] = []
    for one in page.sessions:
        names: list[Json] = [label.label for label in labels.get(one.run.id, [])]
        found.append({**told(one), "labels": names})
    situation.terminal.show(list(found), lines(found))
    if page.next:
        situation.terminal.say(f"there are more: `--before {page.next}`, or `wicket sessions export` for all")
    return Exit.DONE


def export(situation: Situation) -> Exit:
    """Write every session that fits, one a line."""
    check(situation.options)
    file = situation.options.out

    async def work(office: Office) -> int:
        await caught_up(office, situation.terminal)
        if file is None:
            return await write_export(office, situation, situation.terminal.out.write)
        with file.open("w", encoding="utf-8", newline="") as out:
            return await write_export(office, situation, out.write)

    try:
        count = in_office(situation, work)
    except OSError as error:
        raise CommandError(Exit.ABSENT, f"`{file}` cannot be written ({error.strerror})") from None
    situation.terminal.out.flush()
    situation.terminal.say(f"{count:,} sessions written")
    return Exit.DONE


def show(situation: Situation) -> Exit:
    """Show one session, found by its id or by the id its agent gave it."""
    name = str(situation.options.id)

    async def work(office: Office) -> tuple[dict[str, Json], list[Label]]:
        await caught_up(office, situation.terminal)
        run = await _one(office, name)
        started: list[Json] = [one.id for one in await office.runs.children(run.id)]
        parts: list[Json] = [*await office.runs.parts(run.id)]
        shown: dict[str, Json] = {**await _shown(office, run), "started": started, "parts": parts}
        return shown, (await office.labels.listed([run.id])).get(run.id, [])

    shown, labels = in_office(situation, work)
    told_lines = [
        f"{key.replace('_', ' '):<16}{reveal(_line(value))}" for key, value in shown.items() if key != "labels"
    ]
    told_lines += [
        f"{'' if place else 'labels':<16}{line}" for place, line in enumerate([*map(_labelled, labels)] or ["-"])
    ]
    situation.terminal.show({**shown, "labels": [asdict(one) for one in labels]}, told_lines)
    return Exit.DONE


def kill(situation: Situation) -> Exit:
    """Stop what a scope names, and wait a moment for every process to say that nothing of it runs any more."""
    options = situation.options
    if not options.reason.strip():
        raise CommandError(Exit.USAGE, "say why with `--reason`: the agent is told, and the audit log keeps it")

    async def work(office: Office) -> tuple[Kill, bool, Carried]:
        scope = Scope(options.scope)
        target = await _target(office, scope, str(options.id))
        made = await office.kills.kill(scope, target, reason=options.reason, actor=actor())
        await office.desk.invalidate(scope.value, target, by=actor(), reason=options.reason)
        return await _confirmed(office, (scope, target), made, options.wait)

    thrown, made, carried = in_office(situation, work)
    what = "stopped" if made else "was stopped already:"
    situation.terminal.show(
        {**_told(thrown, carried), "killed": True, "changed": made},
        [f"{what} {thrown.scope} `{reveal(thrown.target)}`", *_lines(carried)],
    )
    return Exit.DONE


def list_kills(situation: Situation) -> Exit:
    """List what is stopped, the newest first, with the processes that have carried it out."""

    async def work(office: Office) -> list[tuple[Kill, Carried]]:
        kills = sorted(await _kills(office), key=lambda kill: -kill.epoch)[: max(0, situation.options.limit)]
        return list(zip(kills, await office.witnesses.carried(kills), strict=True))

    found = in_office(situation, work)
    rows = [_told(*one) for one in found]
    shown: list[dict[str, Json]] = [
        {**row, "state": "probation" if row["probation"] else "stopped", "confirmed by": _names(carried)}
        for row, (_, carried) in zip(rows, found, strict=True)
    ]
    columns = ("scope", "target", "state", "at", "actor", "reason", "confirmed by")
    situation.terminal.show(list(rows), table(shown, columns, "nothing is stopped"))
    return Exit.DONE


def revive(situation: Situation) -> Exit:
    """Let something that was stopped go on, or half of it."""
    options = situation.options

    async def work(office: Office) -> str:
        scope, probation = Scope(options.scope), bool(options.probation)
        target = await _target(office, scope, str(options.id))
        if not await office.kills.revive(scope, target, reason=options.reason, actor=actor(), probation=probation):
            state = "stopped, or is on probation already" if probation else "stopped"
            raise CommandError(Exit.ABSENT, f"the {scope} `{target}` is not {state}: nothing was changed")
        return target

    target = in_office(situation, work)
    how = "may go on, with a person asked about each tool call" if options.probation else "may go on"
    situation.terminal.show(
        {"scope": options.scope, "target": target, "killed": False, "probation": bool(options.probation)},
        f"{options.scope} `{reveal(target)}` {how}",
    )
    return Exit.DONE


async def _confirmed(
    office: Office, target: tuple[Scope, str], made: bool, seconds: float
) -> tuple[Kill, bool, Carried]:
    """The kill as it stands once every process has confirmed it, or the time is up."""
    standing = (await office.kills.store.in_force(now=True))[target]
    (carried,) = await office.witnesses.carried([standing])
    with anyio.move_on_after(seconds):
        while not carried.everywhere:
            await anyio.sleep(LOOK_SECONDS)
            (carried,) = await office.witnesses.carried([standing])
    return standing, made, carried


def _told(kill: Kill, carried: Carried) -> dict[str, Json]:
    return {
        "scope": kill.scope.value,
        "target": kill.target,
        "reason": kill.reason,
        "actor": kill.actor,
        "at": kill.at,
        "probation": kill.probation,
        "confirmed": [asdict(one) for one in carried.confirmed],
        "waiting": [asdict(one) for one in carried.waiting],
    }


def _lines(carried: Carried) -> list[str]:
    done = [f"  {one.name} {one.process}: carried out at {one.at}, {one.cut} cut" for one in carried.confirmed]
    return done + [f"  {one.name} {one.id}: has not confirmed yet" for one in carried.waiting]


def _names(carried: Carried) -> str:
    names = ", ".join(sorted(one.name for one in carried.confirmed))
    waiting = ", ".join(sorted(one.name for one in carried.waiting))
    return f"{names or '-'} (waiting for {waiting})" if waiting else names


async def _kills(office: Office) -> list[Kill]:
    return list((await office.kills.store.in_force(now=True)).values())


async def _one(office: Office, name: str) -> Run:
    found = await office.runs.named(name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(Exit.ABSENT, f"there is no session `{name}`: `wicket sessions list` shows them")
    ids = ", ".join(f"`{run.id}`" for run in found)
    raise CommandError(Exit.ABSENT, f"several sessions are called `{name}`: choose one of {ids}")


async def _target(office: Office, scope: Scope, name: str) -> str:
    """What to stop. A session must be known, so that a mistyped id does not look like success."""
    if scope is Scope.ALL:
        return ""
    if not name:
        raise CommandError(Exit.USAGE, f"the id of the {scope} is missing: `wicket sessions list` shows them")
    return (await _one(office, name)).id if scope is Scope.SESSION else name


async def _shown(office: Office, run: Run) -> dict[str, Json]:
    kills = await office.kills.store.in_force(now=True)
    known = await SqlLists(office.store).one(run, kills, office.clock.now())
    kill = stopped_by(run, kills)
    return {
        **told(known),
        "known": "verified by us" if run.verified else "asserted by the client",
        "killed_because": kill.reason if kill is not None and not kill.probation else "",
    }


def _labelled(one: Label) -> str:
    return reveal(f"{one.label} (set by {one.source} at {one.at})")


def _line(value: Json) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "-"
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value)) or "-"


_ID = argument("id", help="id of the session, ours or the agent's")
_SCOPE = argument("--scope", choices=[scope.value for scope in Scope], default="session", help="what the id names")

_TARGET = argument("id", nargs="?", default="", help="id of the session, ours or the agent's; nothing for `all`")

COMMANDS = (
    Command(
        "sessions list",
        "list the runs of agents, those that began last first",
        list_sessions,
        (
            *FILTERS,
            argument("--limit", type=int, default=200, help="most sessions to show (default 200)"),
            argument("--before", default="", metavar="PLACE", help="go on behind a list: the place that it names"),
        ),
    ),
    Command("sessions show", "show one run", show, (_ID,)),
    Command(
        "sessions export",
        "write every run that fits, one a line, as they are read",
        export,
        (
            *FILTERS,
            argument(
                "--format",
                choices=["jsonl", "csv"],
                default="jsonl",
                help="JSON lines (the default), or CSV with a head",
            ),
            argument("--out", type=Path, metavar="FILE", help="a file; standard output where none is named"),
        ),
    ),
    Command(
        "kill",
        "stop a session (or a key, agent, user, team, tenant, server, everything) in both proxies",
        kill,
        (
            _TARGET,
            _SCOPE,
            argument("--reason", required=True, help="why; the agent is told"),
            argument(
                "--wait", type=float, default=3.0, help="seconds to wait for every process to confirm it (default 3)"
            ),
        ),
    ),
    Command(
        "kills",
        "list what is stopped, the newest first, and which processes have carried it out",
        list_kills,
        (argument("--limit", type=int, default=200, help="most to show (default 200)"),),
    ),
    Command(
        "revive",
        "let something that was stopped go on",
        revive,
        (
            _TARGET,
            _SCOPE,
            argument("--reason", default="", help="why; kept in the audit log"),
            argument(
                "--probation", action="store_true", help="only so far that a person is asked about each tool call"
            ),
        ),
    ),
)
