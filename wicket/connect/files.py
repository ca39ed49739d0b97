"""Files of other programs, read and replaced so that none is ever lost, half written, or open to more people.

It knows nothing of what is in them. A symbolic link is refused: replacing it would leave what it points to behind.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from wicket.exits import CommandError, Exit

LARGEST = 64 * 1024 * 1024
PRIVATE = 0o600


@dataclass(frozen=True)
class Held:
    """A file as it was read."""

    path: Path
    raw: bytes
    text: str
    mode: int


def digest(raw: bytes) -> str:
    """What a file held, in short."""
    return hashlib.sha256(raw).hexdigest()


def read(path: Path) -> Held:
    """A text file.

    Raises:
        CommandError: it is no plain readable file with UTF-8 in it.
    """
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise CommandError(
                Exit.CONFIG,
                f"`{path}` is a symbolic link, which is never followed: name the file itself, `{path.resolve()}`",
            )
        if not stat.S_ISREG(status.st_mode):
            raise CommandError(Exit.CONFIG, f"`{path}` is not a file: look at what stands there")
        if status.st_size > LARGEST:
            raise CommandError(Exit.CONFIG, f"`{path}` is larger than {LARGEST} bytes: is it the right file?")
        raw = path.read_bytes()
        return Held(path, raw, raw.decode(), stat.S_IMODE(status.st_mode))
    except FileNotFoundError:
        raise CommandError(Exit.ABSENT, f"`{path}` is not there: look at its name") from None
    except UnicodeDecodeError as error:
        raise CommandError(Exit.CONFIG, f"`{path}` is not UTF-8 at byte {error.start}: save it as UTF-8") from None
    except OSError as error:
        raise _failed(path, "read", error) from None


def replace(held: Held, raw: bytes, mode: int) -> None:
    """Put `raw` in the place of a file that is still as it was read: whole, or not at all.

    Raises:
        CommandError: it was changed in the meantime, or cannot be written.
    """
    draft = write_draft(held.path, raw, mode, like=held.path)
    swap(draft, held)


def require_writable(path: Path) -> None:
    """See that a file can be replaced, before anything else is done.

    Raises:
        CommandError: it cannot.
    """
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise _failed(path, "written", PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def write_draft(path: Path, raw: bytes, mode: int, *, like: Path | None = None) -> Path:
    """A file beside `path` with its future content, on the disk for good.

    Raises:
        CommandError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
            file.write(raw)
            if like is not None:
                status = like.stat()
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _failed(path, "written", error) from None
    return draft


def swap(draft: Path, held: Held) -> None:
    """Let a draft take the place of a file that is still as it was read; else take the draft away.

    Raises:
        CommandError: the file was changed in the meantime, or cannot be replaced.
    """
    try:
        if held.path.is_symlink() or held.path.read_bytes() != held.raw:
            raise CommandError(
                Exit.UNAVAILABLE, f"`{held.path}` was changed by another program just now: run the command again"
            )
        draft.replace(held.path)
        _flush(held.path.parent)
    except OSError as error:
        raise _failed(held.path, "written", error) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_private(path: Path, raw: bytes) -> None:
    """Write a file of our own, whole or not at all, for nobody else to read.

    Raises:
        CommandError: it cannot be written.
    """
    try:
        for directory in (path.parent.parent, path.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_draft(path, raw, PRIVATE).replace(path)
        _flush(path.parent)
    except OSError as error:
        raise _failed(path, "written", error) from None


def _flush(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _failed(path: Path, verb: str, error: OSError) -> CommandError:
    return CommandError(
        Exit.UNAVAILABLE,
        f"`{path}` cannot be {verb} ({error.strerror}): look at whom it and its directory belong to",
    )
