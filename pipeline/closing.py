"""What a kill closes besides what runs: open tickets, and what was granted."""

from collections.abc import Awaitable, Callable

from approvals.desk import Desk
from sessions.killswitch import Kill


def closing(desk: Desk) -> Callable[[Kill], Awaitable[None]]:
    """What to call after a kill is in force, in a proxy and in a command alike."""

    async def close(kill: Kill) -> None:
        await desk.invalidate(kill.scope.value, kill.target, by=kill.actor, reason=kill.reason)

    return close
