"""What `connect` asks of a way to write configuration down: read it, change single members, leave the rest alone.

A protocol and its errors. `jsonc.py` and `toml.py` keep it.
"""

from typing import Protocol, TypeAlias

from governance.jsontree import Json

Path: TypeAlias = tuple[str, ...]
"""The keys that lead to a member."""


class NotationError(ValueError):
    """A text that is not what its name says. The message is ours: what, and where."""


class Notation(Protocol):
    """Texts in, texts out; whatever is not named stays as it is, byte for byte."""

    name: str

    def read(self, text: str) -> Json:
        """The value of a text.

        Raises:
            NotationError: it is malformed, or readers take it differently.
        """
        ...

    def put(self, text: str, path: Path, value: Json, after: str = "") -> str:
        """The text with the member at `path` set; a new one comes after the member `after`, or last."""
        ...

    def drop(self, text: str, path: Path) -> str:
        """The text without the member at `path`."""
        ...

    def raw(self, text: str, path: Path) -> str | None:
        """How the value at `path` is written, or nothing if it is not there."""
        ...

    def value(self, raw: str) -> Json:
        """What something that `raw` once returned says."""
        ...

    def restore(self, text: str, path: Path, raw: str, after: str = "") -> str:
        """The text with what `raw` once returned put back at `path`."""
        ...

    def strings(self, text: str) -> list[tuple[int, int, str]]:
        """Every quoted string of a text: start, end, and what it says."""
        ...
