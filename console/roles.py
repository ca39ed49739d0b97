"""Who may do what on the console: the roles, and what every address asks for. Whatever is not written here is refused.

To add a page, write its `Route` in `console/app.py` and **one line in `NEEDS`**: method and path as in the route, and
the permission it asks for. Without that line nobody may open it, and `tests/console/test_roles.py` says so. A new
permission is one line in `Permission` and one word in each role of `ROLES` that has it. Operations of `/api/v1` name
theirs where they are described (`console/v1/`). Who somebody is, is told by `access.py`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from starlette import routing
from starlette.types import Scope

from governance.identity.keys import KeyRole

_PLACE = "wicket.place"


class Permission(StrEnum):
    """One thing that a person may do, `what:how`."""

    SELF = "self:all"
    """End one's own session."""
    OVERVIEW = "overview:read"
    SESSIONS = "sessions:read"
    SERVERS = "servers:read"
    POLICIES = "policies:read"
    """The rules with their history, and why an exchange was decided as it was."""
    TICKETS = "approvals:read"
    """Held calls with all their arguments."""
    DECIDE = "approvals:decide"
    PINS = "pins:read"
    PINS_DECIDE = "pins:decide"
    AUDIT = "audit:read"
    """The log, with its exports and what is known of its chain."""
    AUDIT_VERIFY = "audit:verify"
    """Have the whole log read and its chain verified."""
    KILLS = "kills:read"
    SWITCH = "kills:switch"
    KEYS = "keys:read"
    KEYS_REVOKE = "keys:revoke"


_LOOKS = frozenset({Permission.SELF, Permission.OVERVIEW, Permission.SESSIONS, Permission.SERVERS, Permission.POLICIES})

ROLES: Mapping[KeyRole, frozenset[Permission]] = MappingProxyType(
    {
        KeyRole.AGENT: frozenset(),
        KeyRole.VIEWER: _LOOKS,
        KeyRole.APPROVER: _LOOKS | {Permission.TICKETS, Permission.DECIDE, Permission.PINS},
        KeyRole.AUDITOR: _LOOKS | {Permission.AUDIT, Permission.AUDIT_VERIFY},
        KeyRole.ADMIN: frozenset(Permission),
    }
)
"""What each role may do. None includes another by itself: what a role has stands here."""

OPEN = frozenset({"GET /login", "POST /login", "GET /login/sso", "GET /login/callback", "GET /static"})
"""What whoever is not signed in may ask for: the door itself, and what it looks like."""

NEEDS: Mapping[str, Permission] = MappingProxyType(
    {
        "POST /logout": Permission.SELF,
        "GET /": Permission.OVERVIEW,
        "GET /approvals": Permission.TICKETS,
        "GET /approvals/{ticket}": Permission.TICKETS,
        "POST /approvals/batch/approve": Permission.DECIDE,
        "POST /approvals/batch/deny": Permission.DECIDE,
        "POST /approvals/{ticket}/approve": Permission.DECIDE,
        "POST /approvals/{ticket}/deny": Permission.DECIDE,
        "POST /approvals/{ticket}/amend": Permission.DECIDE,
        "GET /pins": Permission.PINS,
        "GET /pins/{pin}": Permission.PINS,
        "POST /pins/{pin}/approve": Permission.PINS_DECIDE,
        "POST /pins/{pin}/reject": Permission.PINS_DECIDE,
        "GET /grants": Permission.TICKETS,
        "POST /grants/{grant}/revoke": Permission.DECIDE,
        "GET /delegations": Permission.TICKETS,
        "POST /delegations/give": Permission.DECIDE,
        "POST /delegations/{delegation}/end": Permission.DECIDE,
        "GET /servers": Permission.SERVERS,
        "GET /policies": Permission.POLICIES,
        "GET /policies/explain/{exchange}": Permission.POLICIES,
        "GET /sessions": Permission.SESSIONS,
        "GET /sessions/{session}": Permission.SESSIONS,
        "POST /sessions/{session}/kill": Permission.SWITCH,
        "POST /sessions/{session}/revive": Permission.SWITCH,
        "GET /kills": Permission.KILLS,
        "POST /kills/kill": Permission.SWITCH,
        "POST /kills/revive": Permission.SWITCH,
        "GET /audit": Permission.AUDIT,
        "POST /audit/verify": Permission.AUDIT_VERIFY,
        "GET /keys": Permission.KEYS,
        "POST /keys/{key}/revoke": Permission.KEYS_REVOKE,
        "GET /api/live": Permission.TICKETS,
        "GET /api/tickets": Permission.TICKETS,
        "GET /api/tickets/{ticket}": Permission.TICKETS,
        "POST /api/tickets/batch/approve": Permission.DECIDE,
        "POST /api/tickets/batch/deny": Permission.DECIDE,
        "POST /api/tickets/{ticket}/approve": Permission.DECIDE,
        "POST /api/tickets/{ticket}/deny": Permission.DECIDE,
        "GET /api/pins": Permission.PINS,
        "GET /api/pins/live": Permission.PINS,
        "GET /api/pins/{pin}": Permission.PINS,
        "POST /api/pins/{pin}/approve": Permission.PINS_DECIDE,
        "POST /api/pins/{pin}/reject": Permission.PINS_DECIDE,
        "GET /api/grants": Permission.TICKETS,
        "GET /api/grants/{grant}": Permission.TICKETS,
        "POST /api/grants/{grant}/revoke": Permission.DECIDE,
        "GET /api/delegations": Permission.TICKETS,
        "POST /api/delegations/give": Permission.DECIDE,
        "POST /api/delegations/{delegation}/end": Permission.DECIDE,
        "GET /api/servers": Permission.SERVERS,
        "GET /api/servers/live": Permission.SERVERS,
        "GET /api/sessions": Permission.SESSIONS,
        "GET /api/sessions/{session}": Permission.SESSIONS,
        "GET /api/sessions/{session}/live": Permission.SESSIONS,
        "POST /api/sessions/{session}/kill": Permission.SWITCH,
        "POST /api/sessions/{session}/revive": Permission.SWITCH,
        "GET /api/kills": Permission.KILLS,
        "GET /api/kills/live": Permission.KILLS,
        "POST /api/kills/kill": Permission.SWITCH,
        "POST /api/kills/revive": Permission.SWITCH,
    }
)
"""What each address below `/console` asks for, by method and path as its route has it."""


class ForbiddenError(Exception):
    """Not a request of our own pages, or not a thing this person may do. The message is ours: answer 403."""


class Route(routing.Route):
    """A route that tells the request which one it is, so that what it asks for can be looked up."""

    def matches(self, scope: Scope) -> tuple[routing.Match, Scope]:
        """As any route."""
        match, child = super().matches(scope)
        return match, {**child, _PLACE: self.path}


def place_of(scope: Mapping[str, Any]) -> str:
    """The address that a request came to, as `NEEDS` has it."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return f"{method} {scope.get(_PLACE, '')}"


def holds(role: KeyRole, permission: Permission | None) -> bool:
    """Whether a role has a permission. Nobody has the one that is not written down."""
    return permission is not None and permission in ROLES.get(role, frozenset())


def check(role: KeyRole, permission: Permission | None) -> None:
    """Refuse what a role may not do: the one place that does.

    Raises:
        ForbiddenError: it may not.
    """
    if permission is None:
        raise ForbiddenError("nobody may open this address: it does not say what it asks for")
    if not holds(role, permission):
        raise ForbiddenError(f"this asks for the permission `{permission}`, which the role `{role}` does not have")
