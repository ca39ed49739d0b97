"""Which texts were looked through before, and nothing was found.

An agent sends its whole history again with every turn: the system prompt, the tools, every message so far. What is
the same to the letter needs no second look. Only digests are kept, never a text, and never anything but "clean": what
was found once is looked for again each time, because its role and the configured action may have changed.
"""

from dataclasses import dataclass
from hashlib import sha256

from governance.detect.rule import SEPARATOR
from governance.jsontree import Levels

LONG = 512
"""Texts of so many characters are remembered one by one."""
MANY = 32
"""So many shorter ones of one level are remembered together: the schemas of tools fill levels of their own."""
_TOGETHER = b"\xff"
"""Stands before texts that are remembered together. No text begins with it: it is not UTF-8."""
MOST = 32_768
"""Digests remembered since the last time the older half was forgotten: about 8 MB in all."""


@dataclass(frozen=True, slots=True)
class Sifted:
    """What of some texts has still to be looked through."""

    texts: list[str]
    digests: list[bytes]
    """Of those among them that are worth remembering if they are clean."""


class CleanTexts:
    """A bounded memory for one set of rules. Texts are remembered apart by whether rules for arguments were asked."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._newer: set[bytes] = set()
        self._older: set[bytes] = set()

    def sift(self, levels: Levels, *, arguments: bool) -> Sifted:
        """Those of the texts that are not known to be clean."""
        unknown: list[str] = []
        digests: list[bytes] = []
        for level in levels:
            short = [text for text in level if len(text) < LONG]
            if len(short) != len(level):
                for text in level:
                    if len(text) >= LONG:
                        self._ask(text.encode("utf-8", "surrogatepass"), [text], arguments, unknown, digests)
            joined = SEPARATOR.join(short)
            # With a separator inside a text, two lists of texts could have the same digest.
            if len(short) >= MANY and joined.count(SEPARATOR) == len(short) - 1:
                self._ask(_TOGETHER + joined.encode("utf-8", "surrogatepass"), short, arguments, unknown, digests)
            else:
                unknown += short
        return Sifted(unknown, digests)

    def _ask(self, data: bytes, texts: list[str], arguments: bool, unknown: list[str], digests: list[bytes]) -> None:
        """Note `texts`, which `data` stands for, as unknown if they are."""
        digest = sha256(data).digest()
        narrow = _narrow(digest)
        # What was clean for the rules of arguments too is clean for fewer rules.
        if not (self._knows(digest) or (not arguments and self._knows(narrow))):
            unknown += texts
            digests.append(digest if arguments else narrow)

    def keep(self, sifted: Sifted) -> None:
        """Remember that nothing was found in what was sifted."""
        for digest in sifted.digests:
            self._add(digest)

    def _knows(self, digest: bytes) -> bool:
        if digest in self._newer:
            return True
        if digest in self._older:
            self._add(digest)
            return True
        return False

    def _add(self, digest: bytes) -> None:
        if len(self._newer) >= self._most:
            self._newer, self._older = set(), self._newer
        self._newer.add(digest)


def _narrow(digest: bytes) -> bytes:
    """The mark of a text that was only looked through without the rules for arguments."""
    return digest[:-1]
