"""Who stays with a held call: what a proxy does for its client meanwhile, and what it knows of the other side.

Only the shape, and its simplest form. The desk asks it (`approvals/desk.py`), and the guard before it uses an approval
up (`pipeline/passage.py`).
"""

import contextlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from governance.verdict import Verdict


class Attendance(Protocol):
    """What a proxy does for its client while a call is held, and how long it lets the client wait."""

    @property
    def seconds(self) -> float | None:
        """How long this call may wait now; None = `Manners.wait_seconds`. 0 asks without waiting."""
        ...

    @property
    def present(self) -> bool:
        """Whether the client is still there. Asked last, before an approval is used up for it."""
        ...

    async def objection(self) -> Verdict | None:
        """What else stands in the way of a call that was approved. Its approval is not used up, and kept for longer."""
        ...

    def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AbstractAsyncContextManager[None]:
        """Entered while the call waits for this ticket; it may end the waiting early by cancelling its block.

        `detached` says whether the call may be made although its client has gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Unattended:
    """Waits as long as calls usually do, with a client that nothing is known of."""

    seconds: float | None = None
    present: bool = True

    async def objection(self) -> Verdict | None:
        """Nothing stands in the way."""
        return None

    def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AbstractAsyncContextManager[None]:
        """Do nothing for it."""
        return contextlib.nullcontext()


UNATTENDED = Unattended()
