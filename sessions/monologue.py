"""How often a model says the same words again at a stretch.

Sans-io: text in, a number out. It finds the shortest stretch that the newest text repeats letter for letter, and counts
on from there at the cost of a comparison. Text without a letter (a row of zeros, a ruler) repeats nothing.
"""

LONGEST = 1_000
"""Characters of the longest stretch that is recognised."""
SHORTEST = 40
"""What is shorter is counted together until it has this many characters: a word is said often, and in lists too."""
STEP = 256
"""How many characters come together before they are looked at."""
_PROBE = 32
_TRIES = 8


class Monologue:
    """Listens to one text as it comes."""

    def __init__(self) -> None:
        self._tail = ""
        """The newest text that was looked at."""
        self._new = ""
        self._period = 0
        self._run = 0
        """How many of the newest characters equal the one a period before."""

    def feed(self, text: str) -> int:
        """Take in more text; returns how often the newest stretch was said without a break, 0 where none was again."""
        if len(text) > STEP:
            most = 0
            for start in range(0, len(text), STEP):
                most = max(most, self.feed(text[start : start + STEP]))
            return most
        self._new += text
        if len(self._new) < STEP:
            return 0
        text, self._new = self._new, ""
        tail, self._tail = self._tail, (self._tail + text)[-2 * (LONGEST + STEP) :]
        if self._period and self._goes_on(tail, text):
            self._run += len(text)
        else:
            self._find()
        return self._run // self._period + 1 if self._period else 0

    def _goes_on(self, tail: str, text: str) -> bool:
        """Whether each new character equals the one a period before."""
        return (tail[-self._period :] + text)[: len(text)] == text

    def _find(self) -> None:
        """The shortest stretch that stands twice at the end, and how far back it goes on."""
        tail, self._period, self._run = self._tail, 0, 0
        probe, end = tail[-_PROBE:], len(tail) - 1
        if len(probe) < _PROBE:
            return
        for _ in range(_TRIES):
            found = tail.rfind(probe, 0, end)
            period = len(tail) - _PROBE - found
            if found < 0 or period > LONGEST:
                return
            period *= -(-SHORTEST // period)
            unit = tail[-period:]
            if len(tail) >= 2 * period and tail[-2 * period : -period] == unit:
                if any(map(str.isalpha, unit)):
                    self._period, self._run = period, period
                    while tail[-self._run - 2 * period : -self._run - period] == unit:
                        self._run += period
                return
            end = found + _PROBE - 1
