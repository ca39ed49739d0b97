"""`wicket connect` and `wicket disconnect`: an agent's MCP servers behind Wicket, and out again."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from governance.config.load import load
from governance.identity.keys import Grant, mint
from governance.jsontree import Json
from wicket.addresses import address
from wicket.command import Command, Situation, argument
from wicket.connect.agent import Agent, Scope, Surroundings
from wicket.connect.agents import AGENTS
from wicket.connect.plan import Own, Server
from wicket.connect.record import Record, Records
from wicket.connect.work import Job, Key, Outcome
from wicket.connect.work import connect as connect_file
from wicket.connect.work import disconnect as disconnect_file
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.terminal import reveal

_HOW = {
    "wrapped": "wrapped in place",
    "moved": "moved into wicket.yaml",
    "already": "behind Wicket already",
    "left": "LEFT OUTSIDE",
}


def connect(situation: Situation) -> Exit:
    """Put an agent's servers behind Wicket."""
    job = _job(situation)
    candidates = _files(situation, job)
    present = [file for file in candidates if file.is_symlink() or file.exists()]
    if not present:
        looked = ", ".join(f"`{file}`" for file in candidates)
        mend = "start it once, or name one with `--file`"
        raise CommandError(Exit.ABSENT, f"{job.agent.title} has no configuration here (looked at {looked}): {mend}")
    outcomes = [connect_file(job, file) for file in present]
    notes = _connect_notes(job, outcomes)
    value: dict[str, Json] = {
        "agent": job.agent.name,
        "dry_run": job.dry,
        "files": [_shown(job, one) for one in outcomes],
        "notes": list(notes),
    }
    lines = [line for one in outcomes for line in _told(job, one)]
    situation.terminal.show(value, [*lines, *notes])
    return Exit.FOUND if any(server.how == "left" for one in outcomes for server in one.servers) else Exit.DONE


def disconnect(situation: Situation) -> Exit:
    """Give an agent's files back."""
    job = _job(situation)
    pairs = [(file, record) for file in _files(situation, job) if (record := job.records.get(file)) is not None]
    outcomes = [disconnect_file(job, file, record) for file, record in pairs]
    revoked = [] if job.dry else _revoke(situation, job, [record for _, record in pairs])
    value: dict[str, Json] = {
        "agent": job.agent.name,
        "dry_run": job.dry,
        "files": [_shown(job, one) for one in outcomes],
        "revoked": list(revoked),
    }
    lines = [line for one in outcomes for line in _told(job, one, done="given back", undo=True)]
    lines += [f"the key `{key}` that was made for it is revoked" for key in revoked]
    situation.terminal.show(value, lines or [f"{job.agent.title} is not connected; nothing was changed"])
    return Exit.FOUND if any("stays as it is" in note for one in outcomes for note in one.notes) else Exit.DONE


def _job(situation: Situation) -> Job:
    options = situation.options
    config_file = Path(options.config).absolute()
    config = load(config_file)
    agent = _agent(str(options.agent))
    scope = Scope(options.scope)
    if scope is Scope.PROJECT and agent.project is None:
        raise CommandError(Exit.USAGE, f"{agent.title} has no configuration of projects: leave `--scope` out")
    environ = dict(os.environ)
    home = Path(environ.get("USERPROFILE" if sys.platform == "win32" else "HOME") or Path.home())
    state = Path(config.state)
    return Job(
        agent=agent,
        scope=scope,
        surroundings=Surroundings(sys.platform, home, environ, Path(options.project).absolute()),
        config_file=config_file,
        state=state,
        own=Own(
            command=_own_command(),
            config=str(config_file),
            prefix=f"{address(config, config.mcp)}/mcp/" if config.mcp.port else "",
            token="",
        ),
        records=Records(state),
        mint=lambda: _mint(situation, agent),
        dry=options.dry_run,
    )


def _agent(name: str) -> Agent:
    found = next((agent for agent in AGENTS if agent.name == name), None)
    if found is None:
        known = ", ".join(f"`{agent.name}`" for agent in AGENTS)
        raise CommandError(Exit.ABSENT, f"no agent `{name}` is known: known are {known}")
    return found


def _files(situation: Situation, job: Job) -> list[Path]:
    named = situation.options.file
    if named is not None:
        return [Path(named).absolute()]
    return [file.absolute() for file in job.agent.files(job.scope, job.surroundings)]


def _own_command() -> list[str]:
    """Runs this very Wicket, whatever the agent's search path says."""
    script = Path(sys.argv[0])
    if script.name in ("wicket", "wicket.exe") and script.is_file():
        return [str(script.absolute())]
    return [sys.executable, "-P", "-m", "wicket"]


def _mint(situation: Situation, agent: Agent) -> Key:
    made = mint(Grant(name=agent.title, agent=agent.name), situation.clock.now())

    async def work(office: Office) -> None:
        await office.keys.add(made.key, actor=actor())

    in_office(situation, work)
    return Key(made.key.id, made.token)


def _revoke(situation: Situation, job: Job, records: Sequence[Record]) -> list[str]:
    """Revoke the keys that were made for these files and that no other file uses."""
    used = {record.key for record in job.records.all()}
    keys = sorted({record.key for record in records if record.key and record.key not in used})

    async def work(office: Office) -> list[str]:
        return [key for key in keys if await office.keys.revoke(key, actor=actor())]

    return in_office(situation, work) if keys else []


def _connect_notes(job: Job, outcomes: Sequence[Outcome]) -> list[str]:
    if not any(one.changed for one in outcomes):
        return []
    notes = ["nothing was written: that was a dry run"] if job.dry else []
    if job.scope is Scope.PROJECT:
        notes += [
            "the file names the environment variable `WICKET_KEY`, not a key: `wicket keys create` makes one",
            "the file names paths of this machine: think before it is committed",
        ]
    if not job.dry:
        notes.append(f"restart {job.agent.title}; `wicket disconnect {job.agent.name}` undoes all of this")
    return notes


def _told(job: Job, outcome: Outcome, *, done: str = "connected", undo: bool = False) -> list[str]:
    head = f"{outcome.file}: " + (("would be " if job.dry else "") + done if outcome.changed else "nothing to change")
    lines = [*outcome.diff, "", head] if outcome.diff else [head]
    lines += [reveal(_line(server)) for server in outcome.servers]
    if outcome.configuration:
        what = "taken out of" if undo else "put into"
        lines.append(f"  {what} {job.config_file}: {', '.join(outcome.configuration)}")
    return [*lines, *(f"  {note}" for note in outcome.notes)]


def _line(server: Server) -> str:
    why = f" ({server.why})" if server.why else ""
    return f"  {'.'.join(server.where)}: {_HOW[server.how]} as `{server.name}`{why}"


def _shown(job: Job, outcome: Outcome) -> Json:
    return {
        "file": str(outcome.file),
        "changed": outcome.changed and not job.dry,
        "would_change": outcome.changed,
        "servers": [
            {"entry": list(one.where), "name": one.name, "how": one.how, "why": one.why} for one in outcome.servers
        ],
        "configuration": list(outcome.configuration),
        "diff": list(outcome.diff),
        "notes": list(outcome.notes),
        "key": outcome.key,
    }


_ARGUMENTS = (
    argument("agent", metavar="AGENT", help=", ".join(f"`{agent.name}`" for agent in AGENTS)),
    argument(
        "--scope",
        choices=[scope.value for scope in Scope],
        default=Scope.USER.value,
        help="your own configuration, or that of a project",
    ),
    argument("--project", default=".", metavar="DIR", help="the project, for `--scope project` (default: here)"),
    argument("--file", metavar="FILE", help="a configuration that is not where the agent usually has it"),
    argument("--dry-run", action="store_true", help="show what would be done, and write nothing"),
)
_MALFORMED = "the agent's file, or the configuration, cannot be used; nothing was changed"

COMMANDS = (
    Command(
        "connect",
        "put an agent's MCP servers behind Wicket: shows the diff, keeps the original",
        connect,
        _ARGUMENTS,
        {
            Exit.FOUND: "a server could not be moved and stays outside Wicket; it is named, with the reason",
            Exit.CONFIG: _MALFORMED,
            Exit.ABSENT: "there is no such agent, or it has no configuration here",
            Exit.UNAVAILABLE: "a file cannot be written, or the database cannot be reached",
        },
    ),
    Command(
        "disconnect",
        "give an agent's configuration back as it was, byte for byte",
        disconnect,
        _ARGUMENTS,
        {
            Exit.FOUND: "something of Wicket's was changed since and stays; it is named",
            Exit.CONFIG: _MALFORMED,
            Exit.ABSENT: "there is no such agent, or its file is gone",
            Exit.UNAVAILABLE: "a file cannot be written, or the database cannot be reached",
        },
    ),
)
