"""What a child process says on its standard error, line by line into our log.

Bounded in length and rate, with control characters made harmless and the secrets that the child was given left out.
Nothing is decided by what it says.
"""

import asyncio
import logging
import re
from collections.abc import Iterable

log = logging.getLogger(__name__)

LONGEST_LINE = 2_000
LINES_PER_WINDOW = 200
WINDOW_SECONDS = 10.0
_SHORTEST_SECRET = 6
_CONTROL = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")


class Noise:
    """Collects standard error and logs it.

    Args:
        name: The server's name, which precedes each line.
        secrets: Texts that never reach the log: the values of the environment that the server was given.
    """

    def __init__(self, name: str, secrets: Iterable[str]) -> None:
        self._name = name
        # By line, as the log has them: a key in PEM form has many.
        parts = {line.strip() for text in secrets for line in text.splitlines()}
        self._secrets = sorted({text for text in parts if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._rest = b""
        self._is_cut = False
        """Whether the line that comes was cut, so that its rest is left out: it may begin in the midst of a secret."""
        self._window_began = 0.0
        self._lines = 0
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        """Log the lines that `data` completes. An overlong line is cut and its rest left out."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._end_of_line(line)
        if len(self._rest) > 2 * LONGEST_LINE:
            if not self._is_cut:
                self._say(self._rest)
            self._is_cut, self._rest = True, b""

    def close(self) -> None:
        """Log what came without a line end, and how much was left out."""
        if self._rest:
            self._end_of_line(self._rest)
        self._rest = b""
        self._tell_dropped()

    def _end_of_line(self, line: bytes) -> None:
        if not self._is_cut:
            self._say(line)
        self._is_cut = False

    def _say(self, line: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._window_began >= WINDOW_SECONDS:
            self._tell_dropped()
            self._window_began, self._lines = now, 0
        self._lines += 1
        if self._lines > LINES_PER_WINDOW:
            self._dropped += 1
            return
        text = line.decode(errors="replace")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = _CONTROL.sub(" ", text[:LONGEST_LINE]).strip()
        if text:
            log.info("server %s says: %s", self._name, text)

    def _tell_dropped(self) -> None:
        if self._dropped:
            log.warning("server %s says too much: %d lines were left out", self._name, self._dropped)
        self._dropped = 0
