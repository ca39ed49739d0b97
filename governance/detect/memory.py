"""Which texts were looked through before, and nothing was found.

An agent sends its whole history again with every turn: the system prompt, the tools, every message so far. What is
the same to the letter needs no second look. Only digests are kept, never a text, and never anything but "clean": what
was found once is looked for again each time, because its role and the configured action may have changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

LEAST = 128
"""Shorter texts are looked through faster than they are remembered."""
MOST = 32_768
"""Texts remembered since the last time the older half was forgotten: about 8 MB in all."""


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

    def sift(self, texts: Sequence[str], *, arguments: bool) -> Sifted:
        """Those of `texts` that are not known to be clean.

        A text that was clean for the rules of arguments too is clean for fewer rules.
        """
        unknown: list[str] = []
        digests: list[bytes] = []
        for text in texts:
            if len(text) < LEAST:
                unknown.append(text)
                continue
            digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
            if self._knows(digest) or (not arguments and self._knows(_narrow(digest))):
                continue
            unknown.append(text)
            digests.append(digest if arguments else _narrow(digest))
        return Sifted(unknown, digests)

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
