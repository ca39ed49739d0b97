"""The console: every address it has, and what holds for all of them.

Made to be mounted at `/console`; it needs nothing but an open runtime. Host and Origin of every request are checked
before by `pipeline/border.py`; the pages trust neither.
"""

from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from approvals.delegation.store import SqlDelegations
from console import api, delegations_api, grants_api, kills_api, live, pins_api
from console.access import Access
from console.checkup import Checkup
from console.events import Events
from console.frame import Core, Endpoint, Frame, open_drawings
from console.pages import (
    approvals,
    audit,
    batch,
    delegations,
    entry,
    grants,
    keys,
    kills,
    overview,
    pins,
    policies,
    servers,
    sessions,
    sign_in,
)
from console.roles import Route
from console.sso import PURPOSE, Provider, SingleSignOn
from console.store import SqlLogins, SqlPeople
from governance.audit.keys import AUDIT_MAC
from governance.health.store import SqlHealth
from governance.history.store import SqlShelf, SqlVersions
from governance.identity.admission import terms
from governance.seal import Seal
from pipeline.border import AsgiApp, AsgiMessage, AsgiScope, Receive, Send
from sessions.index.counts.store import SqlCounts
from sessions.index.follow import Follower
from sessions.index.lists.store import SqlLists
from sessions.index.search.store import SqlSearch
from sessions.index.store import SqlIndex
from sessions.store import SqlWitnesses

PREFIX = "/console"

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    # Not `no-referrer`: with it a browser sends `Origin: null` along with our own forms.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


def build(runtime: Core, provider: Provider | None = None) -> AsgiApp:
    """The ASGI app of the console on an open runtime; `provider` is the identity provider, where one is configured."""
    frame = framed(runtime, provider)
    return _Shell(Starlette(routes=routes(frame), exception_handlers={HTTPException: _missing(frame)}))


def framed(runtime: Core, provider: Provider | None = None) -> Frame:
    """What the pages stand in."""
    logins, clock, config = SqlLogins(runtime.store), runtime.clock, runtime.config
    base_url = config.approvals.base_url
    seal = Seal(runtime.key_for(PURPOSE))
    return Frame(
        core=runtime,
        access=Access(
            identity=runtime.identity,
            logins=logins,
            people=SqlPeople(runtime.store, runtime.audit, clock),
            clock=clock,
            audit=runtime.audit,
            strangers=runtime.strangers,
            base_url=base_url,
            terms=terms(config.console.oidc),
            hours=config.console.session_hours,
        ),
        sso=SingleSignOn(provider, seal, logins, clock, base_url) if provider else None,
        events=Events(runtime.store),
        health=SqlHealth(runtime.store, runtime.clock),
        witnesses=SqlWitnesses(runtime.store, runtime.clock),
        delegations=SqlDelegations(runtime.store, runtime.audit),
        lists=SqlLists(runtime.store),
        search=SqlSearch(runtime.store),
        counts=SqlCounts(runtime.store),
        versions=SqlVersions(runtime.store),
        shelf=SqlShelf(runtime.store),
        follower=Follower(SqlIndex(runtime.store), clock),
        checkup=Checkup(config.database, runtime.key_for(AUDIT_MAC), runtime.audit, clock),
        drawings=open_drawings(),
    )


def routes(frame: Frame) -> list[BaseRoute]:
    """Every address, relative to `/console`. A GET never changes anything. What each asks for is in `roles.NEEDS`."""
    page, answer = frame.page, partial(api.endpoint, frame)
    return [
        Route("/", page(partial(overview.index, frame))),
        Route("/approvals", page(partial(approvals.index, frame))),
        *_both("/approvals/batch", ("approve", "deny"), page(partial(batch.decide, frame))),
        Route("/approvals/{ticket}", page(partial(approvals.show, frame))),
        *_both("/approvals/{ticket}", ("approve", "deny", "amend"), page(partial(approvals.decide, frame))),
        Route("/grants", page(partial(grants.index, frame))),
        *_both("/grants/{grant}", ("revoke",), page(partial(grants.revoke, frame))),
        Route("/delegations", page(partial(delegations.index, frame))),
        *_both("/delegations", ("give",), page(partial(delegations.give, frame))),
        *_both("/delegations/{delegation}", ("end",), page(partial(delegations.end, frame))),
        Route("/pins", page(partial(pins.index, frame))),
        Route("/pins/{pin}", page(partial(pins.show, frame))),
        *_both("/pins/{pin}", ("approve", "reject"), page(partial(pins.decide, frame))),
        Route("/servers", page(partial(servers.index, frame))),
        Route("/policies", page(partial(policies.index, frame))),
        Route("/policies/explain/{exchange}", page(partial(policies.explain, frame))),
        Route("/sessions", page(partial(sessions.index, frame))),
        Route("/sessions/{session}", page(partial(sessions.show, frame))),
        *_both("/sessions/{session}", ("kill", "revive"), page(partial(sessions.switch, frame))),
        Route("/kills", page(partial(kills.index, frame))),
        *_both("/kills", ("kill", "revive"), page(partial(kills.switch, frame))),
        Route("/keys", page(partial(keys.index, frame))),
        *_both("/keys/{key}", ("revoke",), page(partial(keys.revoke, frame))),
        Route("/audit", page(partial(audit.index, frame))),
        Route("/audit/verify", page(partial(audit.verify, frame)), methods=["POST"]),
        Route("/login", partial(entry.login, frame), methods=["GET", "POST"]),
        Route("/login/sso", partial(sign_in.start, frame)),
        Route("/login/callback", partial(sign_in.back, frame)),
        Route("/logout", page(partial(entry.logout, frame)), methods=["POST"]),
        Route("/api/tickets", answer(api.list_tickets)),
        *_both("/api/tickets/batch", ("approve", "deny"), answer(api.decide_tickets)),
        Route("/api/tickets/{ticket}", answer(api.show_ticket)),
        *_both("/api/tickets/{ticket}", ("approve", "deny"), answer(api.decide_ticket)),
        Route("/api/grants", answer(grants_api.list_grants)),
        Route("/api/grants/{grant}", answer(grants_api.show_grant)),
        *_both("/api/grants/{grant}", ("revoke",), answer(grants_api.revoke_grant)),
        Route("/api/delegations", answer(delegations_api.list_delegations)),
        *_both("/api/delegations", ("give",), answer(delegations_api.give_delegation)),
        *_both("/api/delegations/{delegation}", ("end",), answer(delegations_api.end_delegation)),
        Route("/api/pins", answer(pins_api.list_pins)),
        Route("/api/pins/live", answer(live.pins)),
        Route("/api/pins/{pin}", answer(pins_api.show_pin)),
        *_both("/api/pins/{pin}", ("approve", "reject"), answer(pins_api.decide_pin)),
        Route("/api/servers", answer(api.list_servers)),
        Route("/api/servers/live", answer(live.servers)),
        Route("/api/sessions", answer(api.list_sessions)),
        Route("/api/sessions/{session}", answer(api.show_session)),
        Route("/api/sessions/{session}/live", answer(live.session)),
        *_both("/api/sessions/{session}", ("kill", "revive"), answer(api.switch_session)),
        Route("/api/kills", answer(kills_api.list_kills)),
        Route("/api/kills/live", answer(live.kills)),
        *_both("/api/kills", ("kill", "revive"), answer(kills_api.switch_kill)),
        Route("/api/live", answer(live.tickets)),
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
    ]


def _both(place: str, moves: tuple[str, ...], endpoint: Endpoint) -> list[BaseRoute]:
    """Changes of one thing, by POST only. Handlers read which from the last step of the path."""
    return [Route(f"{place}/{move}", endpoint, methods=["POST"], name=move) for move in moves]


def _missing(frame: Frame) -> Callable[[Request, Exception], Response]:
    def missing(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return frame.notice("no such page", f"there is nothing to {request.method} at this address", status)

    return missing


class _Shell:
    """Puts the console at `/console`, whoever mounts it, and gives every answer the headers of `HEADERS`."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                given = cast("list[tuple[bytes, bytes]]", list(message.get("headers", [])))
                names = {name for name, _ in given}
                fixed = [*HEADERS, (b"cache-control", b"no-store")]
                message["headers"] = given + [pair for pair in fixed if pair[0] not in names]
            await send(message)

        await self._app(_mounted(scope), receive, guarded)


def _mounted(scope: AsgiScope) -> MutableMapping[str, Any]:
    root = str(scope.get("root_path", ""))
    if root.endswith(PREFIX) or not str(scope["path"]).startswith(root + PREFIX):
        return scope
    return {**scope, "root_path": root + PREFIX}
