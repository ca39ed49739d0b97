"""How the demo tells what it sees: steps, what each party saw in them, and whether that is what should be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table


@dataclass(frozen=True)
class Sight:
    """What one party saw."""

    who: str
    what: str


@dataclass(frozen=True)
class Expectation:
    """Something that must be so."""

    what: str
    held: bool


@dataclass
class Step:
    """One scene."""

    name: str
    title: str
    saw: list[Sight] = field(default_factory=list[Sight])
    expected: list[Expectation] = field(default_factory=list[Expectation])

    @property
    def ok(self) -> bool:
        """Whether everything in it was as it must be; a step in which nothing was looked at is not."""
        return bool(self.expected) and all(one.held for one in self.expected)


class Story:
    """Tells the steps as they happen, and keeps them.

    Args:
        console: where a person reads along.
    """

    def __init__(self, console: Console) -> None:
        self.steps: list[Step] = []
        self._console = console

    def begin(self, name: str, title: str) -> None:
        """A new step."""
        self.steps.append(Step(name, title))
        self._console.print(f"\n[bold]{len(self.steps)}. {escape(title)}[/bold]")

    def saw(self, who: str, what: str) -> None:
        """What a party sees."""
        self.steps[-1].saw.append(Sight(who, what))
        line = Table.grid(padding=(0, 1))
        line.add_column(width=9, style="cyan", justify="right")
        line.add_column(overflow="fold")
        line.add_row(escape(who), escape(what.strip()))
        self._console.print(Padding(line, (0, 3)))

    def expect(self, what: str, held: bool) -> None:
        """What must be so."""
        self.steps[-1].expected.append(Expectation(what, held))
        mark, style = ("ok", "green") if held else ("NOT SO", "bold red")
        self._console.print(f"   [{style}]{mark:>9}[/{style}] {escape(what)}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table for the person who reads along."""
        shown = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="dim")
        for row in rows:
            shown.add_row(*(escape(cell) for cell in row))
        self._console.print(Padding(shown, (0, 3)))

    def link(self, what: str, address: str) -> None:
        """Something to open: the address stays in one piece, whatever the width."""
        self._console.print(f"   [bold]{escape(what)}[/bold]")
        self._console.print(f"   {escape(address)}", soft_wrap=True)

    def note(self, what: str) -> None:
        """Something on the way."""
        self._console.print(f"[dim]{escape(what)}[/dim]")

    @property
    def ok(self) -> bool:
        """Whether every step was as it must be."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    def as_json(self, seconds: float) -> dict[str, object]:
        """For programs."""
        steps = [{**asdict(step), "ok": step.ok} for step in self.steps]
        return {"ok": self.ok, "seconds": round(seconds, 1), "steps": steps}
