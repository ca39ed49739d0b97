"""A running child and the one link that it serves: none yet, while it stands ready for the next session.

Which sessions there are, and when a child is started, is the business of `stdio.py`.
"""

import logging
from collections.abc import Callable

from mcp_proxy.link import LinkLostError
from mcp_proxy.transports.piped import PipedLink
from mcp_proxy.transports.stdio_child import Child, Program

log = logging.getLogger(__name__)

EARLY_BYTES = 64 * 1024
"""How much a child may say before anybody asked it; the rest is dropped."""


class Berth:
    """A child, from its start to its end.

    Args:
        began: When it was started, by the pulse.
        on_word: Called with each line it says.
        on_gone: Called once when it has ended, with our own words on how.
    """

    def __init__(self, began: float, on_word: Callable[[], None], on_gone: Callable[["Berth", str], None]) -> None:
        self.began = began
        self.link: PipedLink | None = None
        self._child: Child | None = None
        self._on_word = on_word
        self._on_gone = on_gone
        self._early: list[bytes] = []
        self._room = EARLY_BYTES

    async def board(self, name: str, program: Program, max_bytes: int) -> None:
        """Start the child.

        Raises:
            UpstreamUnreachableError: it cannot be started.
        """
        self._child = await Child.start(name, program, max_bytes, self._heard, self._gone)

    @property
    def child(self) -> Child:
        """The child.

        Raises:
            LinkLostError: it was not started.
        """
        if self._child is None:
            raise LinkLostError("the server was not started")
        return self._child

    def serve(self, link: PipedLink) -> None:
        """Be the child of this link from now on."""
        self.link = link
        link.pausing(self.child.hold_output)
        for line in self._early:
            link.receive(line)
        self._early = []

    def _heard(self, line: bytes) -> None:
        self._on_word()
        if self.link is not None:
            self.link.receive(line)
            return
        self._room -= len(line)
        if self._room >= 0:
            self._early.append(line)

    def _gone(self, how: str) -> None:
        self._on_gone(self, how)
