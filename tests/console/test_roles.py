"""Each role opens exactly what the table says, on every address of the console, and nothing that is not written."""

from collections.abc import Iterator

import httpx
import pytest
from starlette.routing import BaseRoute, Mount

from console.app import framed, routes
from console.roles import NEEDS, OPEN, ROLES, Permission, Route
from governance.identity.keys import EVERY_TENANT, KeyRole
from governance.jsontree import JsonObject
from tests.approvals.calls import tool_call
from tests.console.conftest import Served
from tests.console.test_app import ours, signed_in

NOBODYS = {name: f"{name}_of_nobody" for name in ("key", "grant", "delegation", "exchange")}
"""Things that are not there: who may ask for them is told so."""
PEOPLE = [role for role in KeyRole if role is not KeyRole.AGENT]


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def places(served: Served) -> set[str]:
    """Every address there is, as the table of permissions names it."""
    found: set[str] = set()
    for route in routes(framed(served.core)):
        found |= _places(route)
    return found


def _places(route: BaseRoute) -> set[str]:
    if isinstance(route, Mount):
        return {f"GET {route.path}"}
    assert isinstance(route, Route), f"{route} does not tell which one it is: take `console.roles.Route`"
    return {f"{method} {route.path}" for method in (route.methods or set()) - {"HEAD"}}


def test_every_address_says_what_it_asks_for(served: Served) -> None:
    assert places(served) == set(NEEDS) | OPEN


def test_an_address_that_says_nothing_is_closed_to_everybody(
    http: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(http, served)
    assert http.get("/console/servers").status_code == 200
    without = {place: needed for place, needed in NEEDS.items() if place != "GET /servers"}
    monkeypatch.setattr("console.frame.NEEDS", without)
    assert http.get("/console/servers").status_code == 403


@pytest.mark.parametrize("role", PEOPLE)
def test_each_role_opens_exactly_what_it_may(http: httpx.Client, served: Served, role: KeyRole) -> None:
    """Whoever may is never told 403, and whoever may not always is, with everything else in order."""
    core = served.portal
    ticket = core.call(served.core.hold, tool_call())
    core.call(served.core.seen, "ses_1")
    tool: JsonObject = {"name": "read", "description": "reads", "inputSchema": {"type": "object"}}
    core.call(served.core.lists, tool)
    pin = core.call(served.core.reviews.pins)[0].id
    token = core.call(lambda: served.core.key(role))
    bearer = {"authorization": f"Bearer {token}"}
    opened: set[str] = set()
    # Signing out comes last: it ends the session that all others go by.
    for place in sorted(set(NEEDS), key=lambda one: (one == "POST /logout", one)):
        method, _, path = place.partition(" ")
        url = "/console" + path.format(ticket=ticket, session="ses_1", pin=pin, **NOBODYS)
        http.cookies.clear()
        if path.startswith("/api/"):
            status = _status(http, method, url, bearer, json={} if method == "POST" else None)
        else:
            csrf = signed_in_as(http, served, token)
            status = _status(http, method, url, ours(served), data={"csrf": csrf} if method == "POST" else None)
        if status == 403:
            continue
        missing = {404} if "of_nobody" in url else set[int]()
        assert status in missing | ({200} if method == "GET" else {200, 303, 400, 409}), place
        opened.add(place)
    assert opened == {place for place, needed in NEEDS.items() if needed in ROLES[role]}


def _status(http: httpx.Client, method: str, url: str, headers: dict[str, str], **body: object) -> int:
    """The status of an answer, without waiting for the end of one that goes on."""
    given = {name: value for name, value in body.items() if value is not None}
    with http.stream(method, url, headers=headers, **given) as answer:  # type: ignore[arg-type]
        return answer.status_code


def signed_in_as(http: httpx.Client, served: Served, token: str) -> str:
    """Sign in with a key, and return the token of its forms, which every page shows."""
    return signed_in(http, served, token)


def test_no_role_of_people_is_without_a_home(served: Served) -> None:
    for role in PEOPLE:
        assert {Permission.OVERVIEW, Permission.SELF} <= ROLES[role]
    assert ROLES[KeyRole.AGENT] == frozenset()
    assert ROLES[KeyRole.ADMIN] == set(Permission)


@pytest.mark.parametrize("role", [KeyRole.VIEWER, KeyRole.APPROVER, KeyRole.AUDITOR])
def test_a_person_of_one_tenant_sees_nothing_of_another(http: httpx.Client, served: Served, role: KeyRole) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    served.portal.call(served.core.called, "ses_1")
    served.portal.call(lambda: served.core.called("ses_2", tenant="umbrella"))
    token = served.portal.call(lambda: served.core.key(role, tenant="umbrella"))
    csrf = signed_in(http, served, token)
    assert "ses_1" not in http.get("/console/sessions").text
    assert "ses_2" in http.get("/console/sessions").text
    assert http.get("/console/sessions/ses_1").status_code == 404
    if role is KeyRole.APPROVER:
        assert "write_file" not in http.get("/console/approvals").text
        form = {"csrf": csrf}
        assert http.post(f"/console/approvals/{ticket}/deny", data=form, headers=ours(served)).status_code == 404
    if role is KeyRole.AUDITOR:
        assert "write_file" not in http.get("/console/audit").text


def test_an_auditor_of_all_tenants_sees_all(http: httpx.Client, served: Served) -> None:
    served.portal.call(served.core.hold, tool_call())
    served.portal.call(served.core.seen, "ses_1")
    token = served.portal.call(lambda: served.core.key(KeyRole.AUDITOR, tenant=EVERY_TENANT))
    signed_in(http, served, token)
    assert "write_file" in http.get("/console/audit").text
    assert "ses_1" in http.get("/console/sessions").text


def test_pages_offer_only_what_a_role_may_open(http: httpx.Client, served: Served) -> None:
    signed_in(http, served, served.portal.call(lambda: served.core.key(KeyRole.VIEWER)))
    page = http.get("/console/").text
    offered = [
        name for name in ("approvals", "pins", "servers", "sessions", "kills", "audit") if f'/console/{name}"' in page
    ]
    assert offered == ["servers", "sessions"]
    assert "/console/approvals" not in page
