"""What a pin is: one thing a server says of itself, the form of it that is trusted, and the form given last.

Pure. Which form is trusted is decided by `pins.py` at first use and by people (`reviews.py`); how pins are kept is
`store.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from governance import jsontree
from governance.audit.event import Draft, Tag, Value

MAX_NAME = 1000
"""Longest name that is kept, in characters; a resource template's name is its URI template."""
MAX_DEFINITION = 256 * 1024
"""Largest definition that is kept, in bytes as JSON: nobody could look at a larger one, nor a page show it soon."""
MOST_TOLD = 100
"""Names that one audit event lists; beyond it only their number is told."""


class Kind(StrEnum):
    """What is pinned."""

    TOOL = "tool"
    PROMPT = "prompt"
    TEMPLATE = "template"
    """A resource template, by its `uriTemplate`."""
    INSTRUCTIONS = "instructions"
    """What the server tells the model about itself; there is one, and its name is empty."""
    SET = "set"
    """Stands once a server's tools were listed to the end: from then on a new tool is a change."""


class State(StrEnum):
    """Where a pin stands."""

    TRUSTED = "trusted"
    PENDING = "pending"
    """What was given last is not what is trusted; a person must look at it."""
    REJECTED = "rejected"
    """A person looked, and does not want it."""


FIRST_USE = "first use"
"""Who trusted a pin, where it was nobody: it was there before anything could have changed."""
MANIFEST = "manifest"
"""Who trusted a pin, where the manifest file names its digest."""

Key: TypeAlias = tuple[str, str, str]
"""Server, kind and name."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One thing that a server says of itself. Times are RFC 3339 in UTC, empty where they have not come."""

    server: str
    kind: Kind
    name: str
    state: State
    live: str
    """SHA-256 of the canonical form of what was given last."""
    digest: str = ""
    """SHA-256 of the canonical form of what is trusted; empty where nothing is."""
    rule: str = ""
    """Why it waits: `pin.drift`, `pin.new`, `pin.confusable`, `pin.collision` or `pin.finding`."""
    reason: str = ""
    """The same in words, without any text of the definition but names that can be printed."""
    live_at: str = ""
    trusted_at: str = ""
    trusted_by: str = ""
    decided_by: str = ""
    decision_reason: str = ""
    definition: str = ""
    """What is trusted, as JSON; empty where it was not asked for."""
    live_definition: str = ""
    """What was given last, as JSON; empty where it was not asked for."""

    @property
    def key(self) -> Key:
        """Server, kind and name."""
        return self.server, self.kind.value, self.name

    @property
    def id(self) -> str:
        """The review of exactly this change: what is given next has another id.

        160 bits, because the server chooses what is hashed: it must not find two definitions with one id, show a person
        the one, and give the other before the button is pressed.
        """
        return "pin_" + jsontree.digest([self.server, self.kind.value, self.name, self.live])[:40]

    @property
    def what(self) -> str:
        """What it is, in words."""
        return f"the {self.kind.value} `{self.name}`" if self.name else f"the {self.kind.value}"

    def same(self, other: "Pin | None") -> bool:
        """Whether nothing changed between the two that a decision could depend on."""
        return other is not None and (self.digest, self.live, self.state) == (other.digest, other.live, other.state)


@dataclass(frozen=True, slots=True)
class Change:
    """A pin as it was known, and as it should be."""

    before: Pin | None
    after: Pin


class MovedError(Exception):
    """A pin was changed by somebody else meanwhile: look again."""


class PinStore(Protocol):
    """Where pins are kept. A change writes its audit event in the same transaction."""

    async def version(self) -> int:
        """A number that grows with every change, as cheaply as can be."""
        ...

    async def all(self) -> list[Pin]:
        """Every pin, without definitions."""
        ...

    async def get(self, key: Key) -> Pin | None:
        """One pin, whole."""
        ...

    async def record(self, changes: Sequence[Change], draft: Draft) -> None:
        """Make changes, all or none.

        Raises:
            MovedError: one of the pins is not as it was known.
        """
        ...


def draft(tag: Tag, pins: Sequence[Pin], **more: Value) -> Draft:
    """The audit event of something that happened to pins of one server and kind. It holds digests, no definitions."""
    first, told = pins[0], pins[:MOST_TOLD]
    fields: dict[str, Value] = {
        "server": first.server,
        "kind": first.kind.value,
        "names": [pin.name for pin in told],
        "definitions": [pin.live for pin in told],
        "count": len(pins),
    }
    if any(pin.digest and pin.digest != pin.live for pin in told):
        fields["trusted_definitions"] = [pin.digest for pin in told]
    if first.rule and all(pin.rule == first.rule for pin in pins):
        fields["rule"] = first.rule
    if len(pins) == 1 and first.kind is Kind.TOOL and tag is not Tag.PIN_TRUSTED:
        fields["tool"] = first.name
    return Draft(tag, {**fields, **more})
