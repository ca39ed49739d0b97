"""What commands say: text for people, or one JSON document for programs, never both.

Results go to standard output; progress and complaints to standard error, progress only where a person sits.
"""

import contextlib
import importlib
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from approvals.visible import pieces
from governance.jsontree import Json


@dataclass(frozen=True)
class Terminal:
    """Where a command speaks."""

    out: TextIO
    err: TextIO
    as_json: bool = False

    def show(self, value: Json, text: str | Iterable[str]) -> None:
        """The result: `value` for programs, `text` (lines) for people."""
        if self.as_json:
            self.out.write(json.dumps(value, indent=2) + "\n")
        else:
            lines = [text] if isinstance(text, str) else text
            self.out.writelines(f"{line}\n" for line in lines)
        self.out.flush()

    def say(self, text: str) -> None:
        """Something on the way to the result, for people."""
        self.err.write(f"{text}\n")
        self.err.flush()

    def complain(self, messages: Sequence[str]) -> None:
        """Why the command could not go on."""
        if self.as_json:
            self.out.write(json.dumps({"errors": list(messages)}, indent=2) + "\n")
            self.out.flush()
        else:
            self.err.writelines(f"error: {message}\n" for message in messages)
            self.err.flush()

    @contextlib.contextmanager
    def progress(self, what: str) -> Generator[None]:
        """Show that `what` takes a while; silent unless a person sits there."""
        if self.as_json or not self.err.isatty():
            yield
            return
        # Not at the top of the file: drawing takes longer to load than most commands run, and few ever need it.
        with importlib.import_module("wicket.spinner").spinning(self.err, what):
            yield


def reveal(text: str) -> str:
    """`text` as one line in which nothing is invisible: an agent's words cannot command the terminal."""
    return "".join(piece.text for piece in pieces(text)).replace("\n", "\\n").replace("\t", "\\t")


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], empty: str) -> list[str]:
    """Rows as aligned lines under their column names, or `empty`. Text of agents cannot reach the terminal raw."""
    if not rows:
        return [empty]
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[reveal(str(row.get(column, "") or "-")) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
