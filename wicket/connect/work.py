"""One file connected, or disconnected: everything is planned and checked first, and written in an order that may stop.

Original and record first, then `wicket.yaml`, then the agent's file. What is told to a person is for the command.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from governance.jsontree import Json
from wicket.connect import files, shown
from wicket.connect.agent import Agent, Scope, Surroundings
from wicket.connect.editing import UneditableError, applied, undone
from wicket.connect.notation import Notation, NotationError
from wicket.connect.plan import (
    Change,
    Entry,
    Own,
    Server,
    Upstream,
    address_of,
    command_of,
    entries,
    is_own,
    moving,
    token_in,
    upstream_of,
    usable,
    wrapping,
)
from wicket.connect.record import Done, Record, Records
from wicket.connect.registry import Registry
from wicket.exits import CommandError, Exit

PLACEHOLDER = "wk_new"
KEY_VARIABLE = "WICKET_KEY"
_OPEN_TO_OTHERS = 0o077
_COMMENT = re.compile(r"#|/[/*]")


@dataclass(frozen=True)
class Key:
    """A key made for a file."""

    id: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Job:
    """What is to be done, and with what."""

    agent: Agent
    scope: Scope
    surroundings: Surroundings
    config_file: Path
    state: Path
    own: Own
    records: Records
    mint: Callable[[], Key]
    dry: bool

    @property
    def notation(self) -> Notation:
        """How the agent's files are written."""
        return self.agent.shape.notation


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    file: Path
    changed: bool
    servers: Sequence[Server] = ()
    diff: Sequence[str] = ()
    configuration: Sequence[str] = ()
    """Names of the servers that came into `wicket.yaml`, or left it."""
    notes: Sequence[str] = ()
    key: str = ""
    """Id of the key of the file, where one was made for it."""


@dataclass(frozen=True)
class _Draft:
    text: str
    done: Sequence[Done]
    servers: Sequence[Server]
    registry: Registry


def connect(job: Job, file: Path) -> Outcome:
    """Put the servers of one file behind Wicket.

    Raises:
        CommandError, ConfigError: nothing was changed in the agent's file.
    """
    held = files.read(file)
    value = _read(job.notation, held)
    record = job.records.get(file)
    base, stuck = _base(job, held, record)
    token = token_in(job.agent.shape, value, job.own.prefix) or job.surroundings.environ.get(KEY_VARIABLE, "")
    token = "" if job.scope is Scope.PROJECT else token
    by_reference = job.scope is Scope.PROJECT
    draft = _drafted(job, held, base, token if token or by_reference else PLACEHOLDER, record)
    key = record.key if record else ""
    if not job.dry and draft.done and not token and not by_reference:
        files.require_writable(file)
        minted = job.mint()
        key, token = minted.id, minted.token
        draft = _drafted(job, held, base, token, record)
    added = [one.name for one in draft.registry.added]
    if draft.text == held.text and draft.registry.text == draft.registry.held.text:
        return Outcome(file, changed=False, servers=_standing(draft.servers, record), key=key)
    diff = shown.diff(job.notation, held.text, draft.text, str(file), "behind Wicket")
    outcome = Outcome(file, changed=True, servers=draft.servers, diff=diff, configuration=added, key=key)
    if job.dry:
        return outcome
    mode = held.mode if by_reference else held.mode & ~_OPEN_TO_OTHERS
    raw = draft.text.encode()
    kept = Record(
        agent=job.agent.name,
        file=str(file),
        mode=record.mode if record else held.mode,
        written=files.digest(raw),
        key=key,
        changes=(*draft.done, *stuck),
        servers=tuple(draft.registry.added),
        heading=draft.registry.heading,
    )
    _write(job, held, raw, mode, draft.registry, kept, base)
    return outcome


def disconnect(job: Job, file: Path, record: Record) -> Outcome:
    """Give a file back as it was; where it was edited since, undo only what Wicket did.

    Raises:
        CommandError, ConfigError: nothing was changed in the agent's file.
    """
    original = job.records.backup(file)
    if not file.exists():
        raise CommandError(Exit.ABSENT, f"`{file}` is gone: its original is kept in `{original}`")
    held = files.read(file)
    exact = files.digest(held.raw) == record.written
    text, stuck = _base(job, held, record)
    registry = _registry(job, file)
    registry.keep(record)
    names = [one.name for one in record.servers]
    notes = [] if exact else ["it was edited since: only Wicket's own changes were undone"]
    notes += [f"`{'.'.join(one.path)}` was changed since, and stays as it is" for one in stuck]
    uncommented = not exact and original.exists() and _loses_comments(files.read(original).text, text)
    notes += ["a comment inside what Wicket had changed is gone"] if uncommented else []
    kept = bool(stuck) or uncommented
    notes += [f"the original is kept in `{original}`"] if kept else []
    diff = shown.diff(job.notation, held.text, text, str(file), "without Wicket")
    outcome = Outcome(file, changed=True, diff=diff, configuration=names, notes=notes, key=record.key)
    if job.dry:
        return outcome
    files.require_writable(file)
    prepared = registry.prepare()
    files.replace(held, text.encode(), record.mode)
    registry.commit(prepared)
    job.records.drop(file, keep_original=kept)
    return outcome


def _loses_comments(original: str, text: str) -> bool:
    """Whether a line with what may be a comment is not there any more: then the original is too good to be dropped."""
    there = {line.strip() for line in text.splitlines()}
    return any(line.strip() not in there for line in original.splitlines() if _COMMENT.search(line))


def _base(job: Job, held: files.Held, record: Record | None) -> tuple[str, list[Done]]:
    """The text as it would be without Wicket."""
    if record is None:
        return held.text, []
    backup = job.records.backup(held.path)
    if files.digest(held.raw) == record.written and backup.exists():
        return files.read(backup).text, []
    _read(job.notation, held)
    try:
        return undone(job.notation, held.text, record)
    except UneditableError:
        raise _uneditable(held.path) from None


def _drafted(job: Job, held: files.Held, base: str, token: str, record: Record | None) -> _Draft:
    """The file's text behind Wicket, and `wicket.yaml` with it."""
    registry = _registry(job, held.path)
    own = replace(job.own, token=token)
    changes: list[Change] = []
    servers: list[Server] = []
    for entry in entries(job.agent.shape, _parsed(job.notation, base, held.path)):
        more, server = _behind(job, entry, own, registry, record)
        changes += more
        servers.append(server)
    if record is not None:
        registry.keep(record)
    try:
        text, done = applied(job.notation, base, changes)
    except UneditableError:
        raise _uneditable(held.path) from None
    return _Draft(text, done, servers, registry)


def _behind(job: Job, entry: Entry, own: Own, registry: Registry, record: Record | None) -> tuple[list[Change], Server]:
    """What puts one entry behind Wicket."""
    shape = job.agent.shape
    name = usable(entry.where[-1])

    def left(why: str) -> tuple[list[Change], Server]:
        return [], Server(entry.where, name, "left", why)

    command = command_of(shape, entry.value)
    _, address = address_of(shape, entry.value)
    if command is not None and not address:
        if is_own(command):
            return [], Server(entry.where, name, "already")
        if not isinstance(entry.value.get(shape.environment, {}), dict):
            return left(f"its `{shape.environment}` is not an object")
        return wrapping(shape, entry, name, command, own), Server(entry.where, name, "wrapped")
    if not address:
        return left("it has neither a command nor an address that can be read")
    if own.prefix and address.startswith(own.prefix):
        return [], Server(entry.where, name, "already")
    found = _movable(job, upstream_of(shape, entry.value))
    if isinstance(found, str):
        return left(found)
    name = registry.place(entry.where[-1], job.agent.name, found, record)
    note = "" if found.headers else "the file held no credentials for it: where it needs some, put them into `headers`"
    return moving(shape, entry, name, own), Server(entry.where, name, "moved", note)


def _movable(job: Job, found: Upstream | str) -> Upstream | str:
    if isinstance(found, str):
        return found
    if not job.own.prefix:
        return "`mcp.port` is 0, so Wicket has no address to write: give it a port"
    missing = [name for name in found.needs() if not job.surroundings.environ.get(name)]
    if missing:
        return f"it needs the environment variable `{missing[0]}` where Wicket runs: export it, and connect again"
    return found


def _write(job: Job, held: files.Held, raw: bytes, mode: int, registry: Registry, record: Record, base: str) -> None:
    files.require_writable(held.path)
    prepared = registry.prepare()
    files.write_private(job.records.backup(held.path), base.encode())
    job.records.put(record)
    registry.commit(prepared)
    files.replace(held, raw, mode)


def _registry(job: Job, file: Path) -> Registry:
    others = [record for record in job.records.all() if record.file != str(file)]
    return Registry(files.read(job.config_file), job.state / "connect", others)


def _standing(servers: Sequence[Server], record: Record | None) -> list[Server]:
    """The servers of a file in which nothing had to be changed: what would be moved stands behind Wicket already."""
    return [one if one.how == "left" or record is None else replace(one, how="already", why="") for one in servers]


def _read(notation: Notation, held: files.Held) -> Json:
    return _parsed(notation, held.text, held.path)


def _parsed(notation: Notation, text: str, file: Path) -> Json:
    try:
        value = notation.read(text)
    except NotationError as error:
        raise CommandError(Exit.CONFIG, f"`{file}` {error}: mend it; nothing was changed") from None
    if not isinstance(value, dict):
        raise CommandError(Exit.CONFIG, f"`{file}` is not an object: is it the right file? Nothing was changed")
    return value


def _uneditable(file: Path) -> CommandError:
    return CommandError(
        Exit.CONFIG, f"`{file}` is written in a way that Wicket cannot change safely: simplify it; nothing was changed"
    )
