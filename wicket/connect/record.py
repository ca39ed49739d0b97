"""What was done to one file, kept beside the other secrets of the installation so that it can be undone.

The original is kept whole. Keys are not: of what Wicket wrote, only digests.
"""

import contextlib
import hashlib
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from governance.jsontree import Json
from wicket.connect import files
from wicket.exits import CommandError, Exit

DIRECTORY = "connect"


class Part(BaseModel):
    """A part of a record. What is not known is an error: a record of a later version must not be half understood."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Done(Part):
    """One member that was changed."""

    path: tuple[str, ...]
    before: str | None
    """How it was written; None = it was not there."""
    after: str
    """Digest of what it became; empty = it was taken away."""
    container: bool = False
    after_key: str = ""
    """The member it came after."""


class Added(Part):
    """A server that was put into `wicket.yaml`."""

    name: str
    text: str
    files: tuple[str, ...] = ()
    """Files with its secrets."""


class Record(Part):
    """Everything about one connected file."""

    version: int = 1
    agent: str
    file: str
    mode: int
    written: str
    """Digest of the file as we left it."""
    key: str = ""
    """Id of the key that was made for it."""
    changes: tuple[Done, ...] = ()
    servers: tuple[Added, ...] = ()
    heading: str = ""
    """The line `mcpServers:`, where we had to add it."""


def value_digest(value: Json) -> str:
    """A value in short."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


class Records:
    """The records of an installation."""

    def __init__(self, state: Path) -> None:
        self._directory = state / DIRECTORY

    def place(self, file: Path) -> Path:
        """Where the record of a file is."""
        return self._directory / f"{hashlib.sha256(str(file).encode()).hexdigest()[:16]}.json"

    def backup(self, file: Path) -> Path:
        """Where the original of a file is."""
        return self.place(file).with_suffix(".original")

    def get(self, file: Path) -> Record | None:
        """The record of a file, if it is connected.

        Raises:
            CommandError: it cannot be used.
        """
        return self._read(self.place(file))

    def all(self) -> list[Record]:
        """Every record."""
        found = sorted(self._directory.glob("*.json")) if self._directory.is_dir() else []
        return [record for path in found if (record := self._read(path)) is not None]

    def put(self, record: Record) -> None:
        """Keep a record."""
        files.write_private(self.place(Path(record.file)), record.model_dump_json(indent=1).encode())

    def drop(self, file: Path, *, keep_original: bool) -> None:
        """Forget a file; its original too, unless it is still needed."""
        for path in (self.place(file), *(() if keep_original else (self.backup(file),))):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _read(self, path: Path) -> Record | None:
        if not path.exists():
            return None
        try:
            return Record.model_validate_json(files.read(path).raw)
        except ValidationError:
            raise CommandError(
                Exit.CONFIG, f"`{path}` is not a record of this version of Wicket: put it back from a backup"
            ) from None
