"""Ends what does not pass the guard when a run that it belongs to is killed.

What passes the guard is cut by the guard itself. Who kills, and why, is not decided here.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Protocol, Self

import anyio

from governance.exchange import Principal, SessionRef
from governance.stage import RefusedError
from governance.verdict import Verdict
from mcp_proxy.calls import Calls
from mcp_proxy.lens import Caller

MOST_RUNS = 32
"""Runs whose kill ends one stream: a client that names a new run with each call must not fill the memory."""


class Kills(Protocol):
    """The kill switch, for what does not pass the guard (`sessions.killswitch.KillSwitch`)."""

    async def verdict(self, principal: Principal, session: SessionRef, server: str = "") -> Verdict:
        """Whether this run was stopped."""
        ...

    def track(
        self, principal: Principal, session: SessionRef, cut: Callable[[Verdict], None], *, server: str = ""
    ) -> AbstractContextManager[None]:
        """Call `cut` when this run is stopped while the block is open."""
        ...


class Cut:
    """Ends what does not pass the guard when a run that it belongs to is killed."""

    def __init__(
        self, kills: Kills, caller: Caller, runs: list[SessionRef], calls: Calls, scope: anyio.CancelScope
    ) -> None:
        self._kills = kills
        self._principal = caller.principal
        self._server = caller.server
        self._runs = runs
        self._calls = calls
        self._scope = scope
        self._tracked = ExitStack()
        self._followed: set[str] = set()
        self._verdict: Verdict | None = None

    def __enter__(self) -> Self:
        for run in self._runs:
            self._follow(run)
        self._calls.followers.add(self._follow)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._calls.followers.discard(self._follow)
        self._tracked.close()

    def check(self) -> None:
        """Say that the run was killed, if it was.

        Raises:
            RefusedError: it was.
        """
        if self._verdict is not None:
            raise RefusedError(self._verdict, "")

    def _follow(self, run: SessionRef) -> None:
        if run.id in self._followed or len(self._followed) >= MOST_RUNS:
            return
        self._followed.add(run.id)
        self._tracked.enter_context(self._kills.track(self._principal, run, self._cut, server=self._server))

    def _cut(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._scope.cancel()
