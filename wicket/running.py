"""Running what serves: the fast event loop, and what could not be opened as an error of the command line."""

from collections.abc import Awaitable, Callable

import anyio

from governance.audit.event import AuditError
from governance.store import StoreError
from wicket.exits import CommandError, Exit, first_of


def run_loop(work: Callable[[], Awaitable[int]]) -> int:
    """Run `work` to its end on the fast loop; what it could not open is told as an error of the command line."""
    try:
        try:
            return anyio.run(work, backend_options={"use_uvloop": True})
        except ExceptionGroup as group:
            raise first_of(group) from group
    except (StoreError, AuditError) as error:
        raise CommandError(Exit.UNAVAILABLE, str(error)) from error
