"""The prefilter: which rules could match a text at all. Exact matching is `governance/detect/detector.py`.

Two implementations of one protocol: Hyperscan, which looks for all patterns in one pass and says where they end, and
the standard library's `re`, for machines where Hyperscan does not load, which says only that they occur. An engine
that fails raises: "nothing found" is never a failure's answer.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import hyperscan

from governance.detect.compiled import database
from governance.detect.stretches import STRETCH, overlapping

Choice = Literal["auto", "hyperscan", "re"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What to look for, in the dialect that `re` and Hyperscan share."""

    pattern: str
    """Over UTF-8 bytes, for an engine that never backtracks."""
    caseless: bool = False
    bounded: str = ""
    """Over characters and with every repeat bounded, for one that does; `pattern` where there is none."""
    width: int = 0
    """Most characters that `bounded` can match, if that is known."""
    once: bool = False
    """Whether it is only asked if it matches: where is not told, and one match costs what a million do."""


Gates = Mapping[int, Gate]
"""What one engine looks for, by the numbers it reports."""

Fired = dict[int, list[int]]
"""For each gate that matched the byte offsets at which matches end; no offsets means: it could be anywhere."""


_AROUND = 2
"""How far an anchor behind a match looks."""
_CONTINUATION = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that do not start a character; a gate may end in the middle of one."""


def characters(text: str, ends: list[int]) -> list[int]:
    """Offsets in the UTF-8 bytes of `text` as offsets in its characters, rising."""
    if text.isascii():
        return sorted(ends)
    data = text.encode("utf-8", "surrogatepass")
    counted: list[int] = []
    done = count = 0
    for end in sorted(ends):
        count += len(data[done:end].translate(None, _CONTINUATION))
        counted.append(count)
        done = end
    return counted


class Engine(Protocol):
    """Says which gates match a text, and where."""

    name: str

    def fired(self, data: bytes) -> Fired:
        """The gates that match somewhere in `data`."""
        ...


class HyperscanEngine:
    """All gates in one block-mode database; each thread has a scratch of its own."""

    name = "hyperscan"

    def __init__(self, gates: Gates, cache: Path | None = None, *, group: str = "patterns", most: int = 0) -> None:
        self._database = database(
            [gate.pattern.encode() for gate in gates.values()],
            list(gates),
            [_flags(gate) for gate in gates.values()],
            cache,
            group,
        )
        self._most = most
        self._anywhere: Fired = {number: [] for number in gates}
        self._once = frozenset(number for number, gate in gates.items() if gate.once)
        self._scratch = hyperscan.Scratch(self._database)
        self._cloning = threading.Lock()
        self._own = threading.local()

    def fired(self, data: bytes) -> Fired:
        """The gates that match somewhere in `data`, and where.

        Raises:
            hyperscan.error: the scan failed, so nothing is known about `data`.
        """
        try:
            scratch = self._own.scratch
        except AttributeError:
            with self._cloning:
                scratch = self._own.scratch = self._scratch.clone()
        hits: Fired = {}
        most, once = self._most, self._once

        def note(gate: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            ends = hits.get(gate)
            if ends is None:
                hits[gate] = [] if gate in once else [end]
                return False
            ends.append(end)
            return len(ends) == most

        try:
            self._database.scan(data, match_event_handler=note, scratch=scratch)
        except hyperscan.ScanTerminated:  # nothing but `note` ends a scan
            return dict(self._anywhere)
        return hits


def _flags(gate: Gate) -> int:
    return (hyperscan.HS_FLAG_CASELESS if gate.caseless else 0) | (hyperscan.HS_FLAG_SINGLEMATCH if gate.once else 0)


class ReEngine:
    """Each gate in turn with the standard library: some hundred times slower, and never anything else."""

    name = "re"

    def __init__(self, gates: Gates) -> None:
        self._patterns = {
            number: (
                re.compile(gate.bounded or gate.pattern, re.ASCII | (re.IGNORECASE if gate.caseless else 0)),
                gate.width,
            )
            for number, gate in gates.items()
        }

    def fired(self, data: bytes) -> Fired:
        """The gates that match somewhere in `data`."""
        text = data.decode("utf-8", "surrogatepass")
        return {number: [] for number, (pattern, width) in self._patterns.items() if _occurs(pattern, text, width)}


def _occurs(pattern: re.Pattern[str], text: str, width: int) -> bool:
    """Whether a pattern matches somewhere; of unknown width it is looked for in the whole text at once."""
    if not width or len(text) <= STRETCH:
        return pattern.search(text) is not None
    return any(pattern.search(text, start, stop) for start, _, stop in overlapping(len(text), width + _AROUND))


def open_engine(
    gates: Gates, choice: Choice = "auto", cache: Path | None = None, *, group: str = "patterns", most: int = 0
) -> Engine:
    """The engine to use. `auto` takes Hyperscan, or `re` where this machine's processor cannot run it.

    Args:
        gates: what to look for.
        choice: which engine.
        cache: directory that keeps what Hyperscan compiled; none is kept without one.
        group: what the gates are called in the cache, where several engines share it.
        most: ends of one gate that are worth knowing; from there on every gate could match anywhere. 0 = all are.

    Raises:
        hyperscan.error: a gate is not in the shared dialect, or Hyperscan was asked for and does not run here.
    """
    if choice == "re" or not gates:  # Hyperscan refuses an empty set; either finds nothing
        return ReEngine(gates)
    try:
        return HyperscanEngine(gates, cache, group=group, most=most)
    except (hyperscan.ArchitectureError, hyperscan.DatabasePlatformError):
        if choice == "hyperscan":
            raise
        return ReEngine(gates)
