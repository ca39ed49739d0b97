"""Runs of base64 and hex in a text: where they stand, and what they hold once decoded.

A run may be as long as a message. It is found and decoded in stretches, so that a thread that does so lets others run;
what comes of it is the same. What is looked for in a decoded run is not known here.
"""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from governance.detect.stretches import STRETCH, breathe

# Base64 of ASCII text has a shape of its own: the high bit of each byte is 0, so in each group of four the first three
# characters come from half of the alphabet only, and `+` and `/` stand last if anywhere. Paths, identifiers, hashes
# and media therefore hardly ever look like it.
_QUAD = r"[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_BYTE = r"(?:2[0-9a-fA-F]|[3-6][0-9a-fA-F]|7[0-9a-eA-E]|0[9adAD])"
RUN_GATES = (rf"(?:{_QUAD}){{5}}", rf"{_BYTE}{{12}}")
"""Prefilter patterns of a text that holds encoded text."""


@dataclass(frozen=True, slots=True)
class Run:
    """A kind of encoded run."""

    name: str
    first: re.Pattern[str]
    """The shortest run there is; `least` characters."""
    least: int
    more: re.Pattern[str]
    """Further groups. Never more than fit into a stretch are looked for at once."""
    rest: re.Pattern[str]
    """What may stand at the end without being a whole group."""
    decode: Callable[[str], str]
    """Decodes whole groups, and at the very end of a run what is left."""

    def end(self, text: str, start: int) -> int:
        """Where the run ends that starts at `start`; -1 if none does."""
        found = self.first.match(text, start)
        if found is None:
            return -1
        done, found = found.end(), self.more.match(text, found.end(), found.end() + STRETCH)
        while found is not None:
            done = found.end()
            breathe()
            found = self.more.match(text, done, done + STRETCH)
        tail = self.rest.match(text, done)
        return tail.end() if tail else done

    def decoded(self, text: str, start: int, end: int) -> str:
        """What the run at `start` holds."""
        parts: list[str] = []
        for place in range(start, end, STRETCH):
            parts.append(self.decode(text[place : min(end, place + STRETCH)]))
            breathe()
        return "".join(parts)


def _from_base64(run: str) -> str:
    whole = run[: len(run) // 4 * 4]
    rest = run[len(whole) :]
    padded = whole + (rest + "=" * (4 - len(rest)) if len(rest) > 1 else "")
    return base64.b64decode(padded.replace("-", "+").replace("_", "/")).decode("ascii", "ignore")


def _from_hex(run: str) -> str:
    return bytes.fromhex(run).decode("ascii", "ignore")


RUNS = (
    Run(
        "base64",
        re.compile(RUN_GATES[0]),
        20,
        re.compile(rf"(?:{_QUAD})++"),
        re.compile(r"[A-Za-z0-9+/_-]{0,3}"),
        _from_base64,
    ),
    Run("hex", re.compile(RUN_GATES[1]), 24, re.compile(rf"{_BYTE}++"), re.compile(""), _from_hex),
)
"""Every kind, in the order of `RUN_GATES`."""


def find_runs(run: Run, text: str, ends: Sequence[int] = ()) -> Iterator[tuple[int, int]]:
    """Where runs of a kind stand, from left to right.

    Args:
        run: the kind.
        text: the text.
        ends: where matches of its gate end, if that is known: as these are all equally long, they say where runs start.
    """
    if not ends:
        yield from _searched(run, text)
        return
    done = 0
    for start in sorted(end - run.least for end in ends):
        end = run.end(text, start) if start >= done else -1
        if end >= 0:
            done = end
            yield start, end


def _searched(run: Run, text: str) -> Iterator[tuple[int, int]]:
    place = 0
    while place < len(text):
        found = run.first.search(text, place, place + STRETCH + run.least)
        if found is None:
            place += STRETCH + 1
        else:
            place = run.end(text, found.start())
            yield found.start(), place
        breathe()
