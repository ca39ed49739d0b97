"""Tells whether the log is the one that was written: every event unchanged, none missing, none out of place.

It reads a database or an exported file and trusts neither. Nothing here writes. What a clean report proves, and what
only a head noted elsewhere can prove, is said in `docs/audit.md`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import orjson

from governance.audit.chain import GENESIS, link, seal
from governance.audit.columns import FIELDS, columns
from governance.audit.event import Receipt

VERIFIED, BROKEN, NOTHING = 0, 1, 2
"""Exit codes of `wicket audit verify`."""


class Fault(StrEnum):
    """What is wrong with a log."""

    CHANGED = "changed"
    MISSING = "missing"
    MOVED = "moved"
    FORGED = "forged"
    COLUMN = "column"
    CUT = "cut"
    REWRITTEN = "rewritten"
    UNREADABLE = "unreadable"


class Entry(NamedTuple):
    """An event as it is stored or exported."""

    seq: int
    body: bytes
    hash: str
    mac: str
    copies: Sequence[str] | None = None
    """The columns for searching, where there are any."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found out."""

    checked: int
    """Events found good, from the first one on."""
    head: Receipt | None = None
    """The last good event: note it elsewhere, and hand it in the next time."""
    sealed: bool = False
    """Whether the seals were checked, which takes the key."""
    fault: Fault | None = None
    seq: int = -1
    """Where the fault is."""
    why: str = ""

    @property
    def exit_code(self) -> int:
        """`VERIFIED`, `BROKEN` or `NOTHING`."""
        if self.fault is not None:
            return BROKEN
        return VERIFIED if self.checked else NOTHING

    def __str__(self) -> str:
        if self.fault is not None:
            return f"broken at event {self.seq} ({self.fault}): {self.why}"
        if self.head is None:
            return "nothing checked: the log is empty"
        unsealed = "" if self.sealed else "; the seals were not checked, because no key was given"
        return f"verified {self.checked} events, head {self.head.seq}:{self.head.hash}{unsealed}"


class BrokenError(Exception):
    """Where and how a log is broken. Raised by sources that cannot be read as entries."""

    def __init__(self, fault: Fault, seq: int, why: str) -> None:
        self.fault = fault
        self.seq = seq
        self.why = why
        super().__init__(why)


def noted(text: str) -> Receipt:
    """A head as people note it: `SEQ:HASH`.

    Raises:
        ValueError: it is not written so.
    """
    seq, _, shown = text.strip().partition(":")
    if not seq.isascii() or not seq.isdigit() or len(shown) != 64 or set(shown) - set("0123456789abcdef"):
        raise ValueError("a noted head is written `SEQ:HASH`, the hash as 64 lower-case hex digits")
    return Receipt(int(seq), shown)


def verify(
    entries: Iterable[Entry], *, key: bytes | None = None, head: Receipt | None = None, known: Receipt | None = None
) -> Report:
    """Walk a log from its first event and stop at the first fault.

    Args:
        entries: the events in the order of their places.
        key: the key of the seals (`keys.AUDIT_MAC`); without it only the chain is checked.
        head: where the log itself says that it ends, where it says so.
        known: a head that was noted earlier, elsewhere.
    """
    seq, previous = -1, GENESIS
    rest = iter(entries)
    try:
        for entry in rest:
            linked = _check(entry, seq + 1, previous, key, known, rest)
            seq, previous = entry.seq, linked
        _check_end(Receipt(seq, previous.hex()), head, known)
    except BrokenError as broken:
        good = Receipt(seq, previous.hex()) if seq >= 0 else None
        return Report(seq + 1, good, key is not None, broken.fault, broken.seq, broken.why)
    return Report(seq + 1, Receipt(seq, previous.hex()) if seq >= 0 else None, key is not None)


def _check(
    entry: Entry, place: int, previous: bytes, key: bytes | None, known: Receipt | None, rest: Iterator[Entry]
) -> bytes:
    """The hash of the entry, if everything about it is right."""
    if entry.seq != place:
        raise _misplaced(entry, place, rest)
    linked = link(previous, place, entry.body)
    if linked.hex() != entry.hash:
        raise _unlinked(entry, previous, rest)
    if key is not None and seal(key, linked).hex() != entry.mac:
        raise BrokenError(Fault.FORGED, place, "its seal was not made with this key")
    if known is not None and known.seq == place and known.hash != entry.hash:
        raise BrokenError(Fault.REWRITTEN, place, "its hash is not the one that was noted: the log was written anew")
    if entry.copies is not None:
        _check_copies(entry, entry.copies)
    return linked


def _check_copies(entry: Entry, copies: Sequence[str]) -> None:
    try:
        body = orjson.loads(entry.body)
        plain = tuple([body.get(name, "") for name in FIELDS])
    except (ValueError, AttributeError):
        raise BrokenError(Fault.UNREADABLE, entry.seq, "its body is not a JSON object") from None
    if copies == plain:
        return
    for name, right, copy in zip(FIELDS, columns(body), copies, strict=True):
        if right != copy:
            raise BrokenError(Fault.COLUMN, entry.seq, f"the column `{name}` does not say what the event says")


def _misplaced(entry: Entry, place: int, rest: Iterator[Entry]) -> BrokenError:
    if entry.seq < place:
        return BrokenError(Fault.MOVED, entry.seq, f"it comes again or too late: event {place} was expected")
    if any(later.seq == place for later in rest):
        return BrokenError(Fault.MOVED, place, f"it comes after event {entry.seq}: the order was changed")
    return BrokenError(Fault.MISSING, place, f"it was removed: event {entry.seq} stands where it should")


def _unlinked(entry: Entry, previous: bytes, rest: Iterator[Entry]) -> BrokenError:
    """Tell a changed event from one that stands elsewhere: then a later one fits into this place."""
    for later in rest:
        if link(previous, entry.seq, later.body).hex() == later.hash:
            return BrokenError(Fault.MOVED, entry.seq, f"it stands at place {later.seq}: the order was changed")
    return BrokenError(Fault.CHANGED, entry.seq, "its body does not give its hash: it was changed after it was written")


def _check_end(end: Receipt, head: Receipt | None, known: Receipt | None) -> None:
    if known is not None and known.seq > end.seq:
        raise BrokenError(
            Fault.CUT, end.seq + 1, f"the log ends before it, but event {known.seq} was noted: the tail was cut off"
        )
    if head is None or head == end or (head.seq < 0 and end.seq < 0):
        return
    if head.seq > end.seq:
        raise BrokenError(
            Fault.CUT, end.seq + 1, f"the log ends before it, but was {head.seq + 1} events long: the tail was cut off"
        )
    raise BrokenError(Fault.CHANGED, head.seq, "the log's own head does not fit its last event")
