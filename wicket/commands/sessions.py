"""`wicket sessions`, `wicket kill` and `wicket revive`: what agents are doing, and stopping it."""

from dataclasses import asdict

from governance.jsontree import Json
from sessions.killswitch import Kill, Scope
from sessions.roll import Run
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.terminal import reveal, table

_COLUMNS = ("id", "state", "agent", "tenant", "plane", "evidence", "last_seen")


def list_sessions(situation: Situation) -> Exit:
    """List sessions, the last seen first."""

    async def work(office: Office) -> tuple[list[Run], list[Kill]]:
        return await office.runs.newest(situation.options.limit), await _kills(office)

    runs, kills = in_office(situation, work)
    rows = [_shown(run, kills) for run in runs]
    situation.terminal.show(list(rows), table(rows, _COLUMNS, "no sessions yet"))
    return Exit.DONE


def show(situation: Situation) -> Exit:
    """Show one session, found by its id or by the id its agent gave it."""
    name = str(situation.options.id)

    async def work(office: Office) -> dict[str, Json]:
        return _shown(await _one(office, name), await _kills(office))

    shown = in_office(situation, work)
    situation.terminal.show(shown, [f"{key.replace('_', ' '):<12}{reveal(str(shown[key]) or '-')}" for key in shown])
    return Exit.DONE


def kill(situation: Situation) -> Exit:
    """Stop a session, a key, an agent, a tenant or everything."""
    options = situation.options

    async def work(office: Office) -> tuple[str, bool]:
        scope = Scope(options.scope)
        target = await _target(office, scope, str(options.id))
        made = await office.kills.kill(scope, target, reason=options.reason, actor=actor())
        if scope is Scope.SESSION:
            await office.desk.invalidate(target)
        return target, made

    target, made = in_office(situation, work)
    what = "stopped" if made else "was stopped already:"
    situation.terminal.show(
        {"scope": options.scope, "target": target, "killed": True, "changed": made},
        f"{what} {options.scope} `{reveal(target)}`",
    )
    return Exit.DONE


def revive(situation: Situation) -> Exit:
    """Let something that was stopped go on."""
    options = situation.options

    async def work(office: Office) -> str:
        scope = Scope(options.scope)
        target = await _target(office, scope, str(options.id))
        if not await office.kills.revive(scope, target, reason=options.reason, actor=actor()):
            raise CommandError(Exit.ABSENT, f"the {scope} `{target}` is not stopped: nothing was changed")
        return target

    target = in_office(situation, work)
    situation.terminal.show(
        {"scope": options.scope, "target": target, "killed": False}, f"{options.scope} `{reveal(target)}` may go on"
    )
    return Exit.DONE


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


def _shown(run: Run, kills: list[Kill]) -> dict[str, Json]:
    marks = {("session", run.id), ("key", run.key_id), ("agent", run.agent), ("tenant", run.tenant), ("all", "")}
    stopped = next((one for one in kills if (one.scope.value, one.target) in marks), None)
    state = "running" if stopped is None else "killed"
    return {
        "id": run.id,
        "state": state,
        **{name: value for name, value in asdict(run).items() if name != "id"},
        "killed_because": stopped.reason if stopped else "",
    }


_ID = argument("id", help="id of the session, ours or the agent's")
_SCOPE = argument("--scope", choices=[scope.value for scope in Scope], default="session", help="what the id names")

_TARGET = argument("id", nargs="?", default="", help="id of the session, ours or the agent's; nothing for `all`")

COMMANDS = (
    Command(
        "sessions list",
        "list the runs of agents",
        list_sessions,
        (argument("--limit", type=int, default=200, help="most sessions to show (default 200)"),),
    ),
    Command("sessions show", "show one run", show, (_ID,)),
    Command(
        "kill",
        "stop a session (or a key, agent, tenant, everything) in both proxies",
        kill,
        (_TARGET, _SCOPE, argument("--reason", default="stopped by a person", help="why; the agent is told")),
    ),
    Command(
        "revive",
        "let something that was stopped go on",
        revive,
        (_TARGET, _SCOPE, argument("--reason", default="", help="why; kept in the audit log")),
    ),
)
