"""Bringing a policy back: its files are written as they were, and the proxies take them up like any other change.

Planning reads the disk and changes nothing. Which versions there are is `versions.py`; the event that says who did it
and why is written by the command, before anything is replaced.
"""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from governance.history.versions import Difference, Version, difference
from governance.policy.load import PolicyError, Source, compile_sources, read_sources


class RollbackError(Exception):
    """A version cannot be brought back. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What bringing a version back would do."""

    target: Version
    now: tuple[Source, ...]
    """The files as they are on disk; one that is missing or cannot be read is left out."""
    differs: Difference
    """From the disk to the version."""
    changed: str
    """Why the files are not what is in force, so that writing them would lose something; empty where they are."""

    @property
    def writes(self) -> list[Source]:
        """The files that would be written."""
        have = dict(self.now)
        return [(name, text) for name, text in self.target.sources if have.get(name) != text]


def plan(target: Version, paths: Sequence[Path], in_force: str) -> Plan:
    """What bringing a version back would do to the files at `paths`.

    Args:
        target: the version to bring back.
        paths: the policy files that the configuration names.
        in_force: the version that was taken up last; empty if none was.

    Raises:
        RollbackError: the version is of other files, or can no longer be used.
    """
    configured, its = [str(path) for path in paths], [name for name, _ in target.sources]
    if configured != its:
        was, names = ", ".join(f"`{one}`" for one in its), ", ".join(f"`{one}`" for one in configured)
        raise RollbackError(
            f"version {target.short} was made of {was}, and the configuration names {names} now: "
            "change `policies`, or write the files by hand from `wicket policy diff`"
        )
    try:
        compile_sources(target.sources)
    except PolicyError as error:
        raise RollbackError(
            f"version {target.short} cannot be used by this version of Wicket: {error.problems[0]}"
        ) from None
    now = _readable(paths)
    return Plan(target, now, difference(now, target.sources), _why_changed(now, len(paths), in_force))


def carry_out(planned: Plan, at: datetime) -> list[Path]:
    """Write the files. Returns the backups that were made of those that were there.

    Each file is replaced in one step, so nobody ever reads half of one.

    Raises:
        RollbackError: a file is no longer as it was planned on, or cannot be written; nothing more was written.
    """
    have = dict(planned.now)
    backups: list[Path] = []
    for name, text in planned.writes:
        path = Path(name)
        if dict(_readable([path])).get(name) != have.get(name):
            raise RollbackError(f"`{name}` was changed at this very moment: look at it and try again")
        try:
            backups += _backup(path, have.get(name), at)
            _replace(path, text)
        except OSError as error:
            raise RollbackError(f"`{name}` cannot be written ({error.strerror})") from None
    return backups


def _why_changed(now: tuple[Source, ...], count: int, in_force: str) -> str:
    if len(now) < count:
        return "a policy file is missing or cannot be read"
    try:
        version = compile_sources(now).version
    except PolicyError as error:
        return f"the files on disk are wrong, so an older policy is in force: {error.problems[0]}"
    return "" if version == in_force else f"the files on disk are {version[:12]}, which no process has taken up"


def _readable(paths: Sequence[Path]) -> tuple[Source, ...]:
    found: list[Source] = []
    for path in paths:
        with contextlib.suppress(PolicyError):
            found += read_sources([path])
    return tuple(found)


def _backup(path: Path, text: str | None, at: datetime) -> list[Path]:
    if text is None and not path.exists():
        return []
    backup = path.with_name(f"{path.name}.{at:%Y%m%dT%H%M%S%f}Z.bak")
    _write_new(backup, path.read_bytes(), path.stat().st_mode & 0o777)
    return [backup]


def _write_new(path: Path, raw: bytes, mode: int) -> None:
    """A file that must not be there yet, readable by nobody who could not read the original."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    real = path.resolve()  # a link stays a link
    mode = real.stat().st_mode & 0o777 if real.exists() else 0o644
    handle, temporary = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(real)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
