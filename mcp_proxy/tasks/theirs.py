"""The tasks that servers made of calls: whose they are, and their end when the run of the call is killed.

A server that makes a task works on although nobody may ask for it any more, so it is told to stop. And a server that
knows only Wicket cannot tell two callers apart: what is known to be another's task is none for this one. In memory, and
bounded: what was forgotten is carried as the server answers it. Who sends the cancelling is `runner.py`.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from governance import jsontree
from governance.exchange import Exchange, Principal
from governance.jsontree import JsonObject
from governance.verdict import Verdict
from mcp_proxy.eras import VERSION_HEADER
from mcp_proxy.gate import Route
from mcp_proxy.link import Era, Link, Track
from mcp_proxy.message import Message, result_of
from mcp_proxy.sdk import inbound
from mcp_proxy.tasks.ids import TASK_ID, created
from mcp_proxy.tasks.task import ENDED

MOST = 4000
"""Tasks that are remembered."""
MOST_OF_ONE = 256
"""Of one key."""

Owner = tuple[str, str, str]


@dataclass(eq=False)
class Theirs:
    """A task at a server."""

    server: str
    id: str
    principal: Principal
    link: Link | None
    """The session that it belongs to; in the modern era, where there is none, another link is opened."""
    meta: JsonObject
    """The envelope of the call, in which its client says what it is; empty where a session says it."""
    version: str
    """The revision, as the header names it; empty over transports without headers."""
    tracked: ExitStack = field(default_factory=ExitStack)
    """Closed once nothing has to be ended any more."""

    def cancelling(self) -> tuple[Message, Mapping[str, str]]:
        """The request that ends it, and its headers."""
        params: JsonObject = {TASK_ID: self.id, **({"_meta": self.meta} if self.meta else {})}
        value: JsonObject = {"jsonrpc": "2.0", "id": f"wicket-{secrets.token_hex(8)}", "method": "tasks/cancel"}
        headers = {VERSION_HEADER: self.version} if self.version else {}
        if headers and self.link is None:
            headers[inbound.MCP_METHOD_HEADER] = "tasks/cancel"
            headers[inbound.MCP_NAME_HEADER] = inbound.encode_header_value(self.id)
        return Message.build({**value, "params": params}), headers


class TheirTasks:
    """Tasks at servers, by server, id and owner."""

    def __init__(self) -> None:
        self.cancel: Callable[[Theirs], object] | None = None
        """Has a task cancelled at its server; none while nobody can."""
        self._owned: dict[Owner, dict[tuple[str, str], Theirs]] = {}
        self._owners: dict[tuple[str, str], set[Owner]] = {}
        self._count = 0

    def heard(self, asked: Message, answer: Message, exchange: Exchange, route: Route, track: Track) -> None:
        """Take in what a server answered to a call, or to a request about a task.

        Args:
            asked: the request.
            answer: the response, not judged yet: the server works on whatever becomes of it.
            exchange: the request's.
            route: what it travelled by.
            track: has a function called when the request's run is killed.
        """
        server, owner = exchange.resource.server, owner_of(exchange.principal)
        if asked.method == "tools/call":
            if task_id := created(asked, answer):
                is_modern = exchange.facts.get("era") == Era.MODERN
                meta = {name: one for name, one in asked.meta.items() if is_modern and name != "progressToken"}
                version = route.headers.get(VERSION_HEADER, "")
                made = Theirs(server, task_id, exchange.principal, None if is_modern else route.link, meta, version)
                self._keep(owner, made, track)
            return
        if not asked.method.startswith("tasks/"):
            return
        ended = asked.method == "tasks/result" or result_of(answer).get("status") in ENDED
        known = self._owned.get(owner, {}).get((server, jsontree.as_text(asked.params.get(TASK_ID))))
        if known is not None and ended:
            known.tracked.close()

    def is_strange(self, principal: Principal, server: str, task_id: str) -> bool:
        """Whether a task is known to be somebody else's."""
        owners = self._owners.get((server, task_id))
        return owners is not None and owner_of(principal) not in owners

    def is_own(self, principal: Principal, server: str, task_id: str) -> bool:
        """Whether a task is known to be this one's."""
        return owner_of(principal) in self._owners.get((server, task_id), ())

    def _keep(self, owner: Owner, made: Theirs, track: Track) -> None:
        own, place = self._owned.setdefault(owner, {}), (made.server, made.id)
        if place in own:
            self._drop(owner, place)
            own = self._owned.setdefault(owner, {})
        own[place] = made
        self._owners.setdefault(place, set()).add(owner)
        self._count += 1

        def cut(_verdict: Verdict) -> None:
            made.tracked.close()
            if self.cancel is not None:
                self.cancel(made)

        made.tracked.enter_context(track(cut))
        if len(own) > MOST_OF_ONE:
            self._drop(owner, next(iter(own)))
        elif self._count > MOST:
            most = max(self._owned, key=lambda one: len(self._owned[one]))
            self._drop(most, next(iter(self._owned[most])))

    def _drop(self, owner: Owner, place: tuple[str, str]) -> None:
        self._owned[owner].pop(place).tracked.close()
        self._count -= 1
        if not self._owned[owner]:
            del self._owned[owner]
        self._owners[place].discard(owner)
        if not self._owners[place]:
            del self._owners[place]


def owner_of(principal: Principal) -> Owner:
    """Who may ask for what a principal caused."""
    return principal.key_id, principal.tenant, principal.user
