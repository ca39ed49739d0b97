"""The state directory and the two secrets in it.

Made once at random and refused for ever after if they are known, short, or readable by others. Every other key of
the program derives from the master key, one label a purpose; gateway keys are random and live hashed in the database
(`governance/identity`), provider keys only in the configuration.
"""

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from governance.config.models import Config

MASTER_FILE = "master.key"
ADMIN_FILE = "admin.token"
KEY_BYTES = 32

_LEAST_DISTINCT = 12
"""Different bytes that 32 random ones hold at the very least; fewer is the work of a person (chance below 1e-15)."""
_KNOWN = (
    b"changeme",
    b"change-me",
    b"change_me",
    b"secret",
    b"password",
    b"example",
    b"default",
    b"12345678",
    b"insert",
)


class SecretsError(Exception):
    """The secrets of this installation must not be used. The message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one installation. Neither shows in a `repr`."""

    master: bytes = field(repr=False)
    """32 bytes. Keys for single purposes are derived from it (`governance/audit/keys.py`), and it does nothing else."""
    admin_token: str = field(repr=False)


def prepare(state: Path, *, external: bool = False) -> list[Path]:
    """Make the state directory and what is missing in it; what is there already stays as it is.

    Args:
        state: the directory, made with mode 0700.
        external: leave the secrets out, because the configuration takes them from elsewhere.

    Returns:
        The files that were made, each with mode 0600.

    Raises:
        SecretsError: the directory cannot be made, or is open to others.
    """
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SecretsError(f"cannot make the directory `{state}` ({error.strerror}): check its parent") from None
    _refuse_open(state, 0o700)
    if external:
        return []
    fresh = {MASTER_FILE: secrets.token_bytes(KEY_BYTES), ADMIN_FILE: b"wka_" + secrets.token_urlsafe(32).encode()}
    return [state / name for name, content in fresh.items() if _write_new(state / name, content)]


def open_secrets(config: Config) -> Secrets:
    """The secrets that `config` names, or those in its state directory.

    Raises:
        SecretsError: one is missing, known, short, or readable by others.
    """
    state = Path(config.state)
    if state.exists():
        _refuse_open(state, 0o700)
    master = config.secrets.master_key.encode() or _read(state / MASTER_FILE)
    token = config.secrets.admin_token.encode() or _read(state / ADMIN_FILE)
    _refuse_weak(master, "the master key", "secrets.master_key" if config.secrets.master_key else state / MASTER_FILE)
    _refuse_weak(token, "the admin token", "secrets.admin_token" if config.secrets.admin_token else state / ADMIN_FILE)
    return Secrets(
        master if len(master) == KEY_BYTES else hashlib.sha256(master).digest(), token.decode("utf-8", "replace")
    )


def _read(path: Path) -> bytes:
    try:
        _refuse_open(path, 0o600)
        content = path.read_bytes()
    except FileNotFoundError:
        raise SecretsError(f"`{path}` is missing: `wicket init` makes it, or put your backup back") from None
    except OSError as error:
        raise SecretsError(f"`{path}` cannot be read ({error.strerror}): run as the user it belongs to") from None
    return content if path.name == MASTER_FILE else content.strip()


def _refuse_open(path: Path, mode: int) -> None:
    """Refuse a file or directory that anyone but its owner may touch."""
    status = path.stat()
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise SecretsError(f"`{path}` is open to other users: run `chmod {mode:o} {path}`")
    if status.st_uid not in (os.geteuid(), 0):
        raise SecretsError(f"`{path}` belongs to another user: run `chown {os.geteuid()} {path}`")


def _refuse_weak(secret: bytes, name: str, where: str | Path) -> None:
    mend = "put 32 random bytes there (`openssl rand -hex 32`), or remove the file and run `wicket init`"
    if len(secret) < KEY_BYTES:
        raise SecretsError(f"{name} in `{where}` is too short: {mend}")
    if len(set(secret)) < _LEAST_DISTINCT or any(word in secret.lower() for word in _KNOWN):
        raise SecretsError(f"{name} in `{where}` is not random: {mend}")


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet: whole or not at all, and never readable by others."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
