"""The page of the kill switch, and its API: every scope, who carried it out, and the way back in steps."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from console.pages.kills import MOST_SHOWN
from governance.exchange import Principal, SessionRef
from governance.identity.keys import KeyRole
from governance.verdict import ALLOWED
from sessions.killswitch import Scope
from sessions.store import SqlWitnesses
from sessions.witness import Witness
from tests.console.conftest import Served
from tests.console.core import ADMIN
from tests.console.test_app import signed_in

BEARER = {"authorization": f"Bearer {ADMIN}"}
AGENT = Principal("key_1", tenant="acme", team="core", agent="builder")
RUN = SessionRef("ses_1", "explicit", 1)


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def rule_at(served: Served, server: str = "files") -> str:
    """The rule that refuses our agent at a server; empty if none does."""
    served.core.clock.advance(1)
    found = served.portal.call(served.core.kills.verdict, AGENT, RUN, server)
    return "" if found is ALLOWED else found.rule


def test_nobody_without_an_administrators_key_sees_or_throws_it(http: httpx.Client, served: Served) -> None:
    assert http.get("/console/kills").status_code == 303
    for path in ("/console/api/kills", "/console/api/kills/live"):
        assert http.get(path).status_code == 401
    order = {"scope": "all", "reason": "mine"}
    assert http.post("/console/api/kills/kill", json=order).status_code == 401
    approver = {"authorization": f"Bearer {served.portal.call(served.core.key, KeyRole.APPROVER)}"}
    for path in ("/console/api/kills", "/console/api/kills/live"):
        assert http.get(path, headers=approver).status_code == 403
    assert http.post("/console/api/kills/kill", json=order, headers=approver).status_code == 403
    assert rule_at(served) == ""


@pytest.mark.parametrize(
    ("scope", "target"), [("server", "files"), ("team", "core"), ("agent", "builder"), ("all", "")]
)
def test_programs_stop_it_and_let_it_go_on_in_steps(
    http: httpx.Client, served: Served, scope: str, target: str
) -> None:
    order = {"scope": scope, "target": target, "reason": "it leaks"}
    stopped = http.post("/console/api/kills/kill", json=order, headers=BEARER).json()
    assert stopped == {"scope": scope, "target": target, "killed": True, "changed": True}
    assert rule_at(served) == f"kill.{scope}"
    (one,) = http.get("/console/api/kills", headers=BEARER).json()["kills"]
    assert (one["scope"], one["target"], one["reason"], one["probation"]) == (scope, target, "it leaks", False)
    assert http.post("/console/api/kills/revive", json={**order, "probation": True}, headers=BEARER).json()["changed"]
    assert rule_at(served) == ""
    (one,) = http.get("/console/api/kills", headers=BEARER).json()["kills"]
    assert one["probation"] is True
    assert http.post("/console/api/kills/revive", json=order, headers=BEARER).json()["changed"]
    assert http.get("/console/api/kills", headers=BEARER).json()["kills"] == []


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"scope": "planet", "target": "earth", "reason": "x"}, "`scope` is one of"),
        ({"scope": "key", "target": " ", "reason": "x"}, "name the key"),
        ({"scope": "key", "target": "k" * 301, "reason": "x"}, "at most 300"),
        ({"scope": "key", "target": "key_1"}, "say why"),
        ({"scope": "key", "target": "key_1", "reason": "  "}, "say why"),
        ({"target": ["key_1"]}, "`scope` is one of"),
    ],
)
def test_an_order_that_says_too_little_stops_nothing_and_says_what_is_missing(
    http: httpx.Client, served: Served, order: dict[str, object], said: str
) -> None:
    answer = http.post("/console/api/kills/kill", json=order, headers=BEARER)
    assert answer.status_code == 400
    assert said in answer.text
    assert rule_at(served) == ""


def test_requested_and_carried_out_are_shown_apart(http: httpx.Client, served: Served) -> None:
    core = served.core
    board = SqlWitnesses(core.store, core.clock)
    gateway, mcp = (Witness(f"id-{name}", name, board, core.clock) for name in ("gateway", "mcp"))

    async def begin() -> None:
        await gateway.look({}, {}, {})
        await mcp.look({}, {}, {})

    served.portal.call(begin)
    core.clock.advance(1)
    http.post("/console/api/kills/kill", json={"scope": "key", "target": "key_1", "reason": "x"}, headers=BEARER)
    core.clock.advance(0.5)

    async def look() -> None:
        await gateway.look(await core.kills.store.in_force(now=True), {}, {(Scope.KEY, "key_1"): 3})

    served.portal.call(look)
    (one,) = http.get("/console/api/kills", headers=BEARER).json()["kills"]
    assert [(said["name"], said["cut"]) for said in one["confirmed"]] == [("gateway", 3)]
    assert [process["name"] for process in one["waiting"]] == ["mcp"]
    signed_in(http, served)
    page = http.get("/console/kills").text
    assert "+0.50 s" in page
    assert "3 cut" in page
    assert "not confirmed yet" in page


def test_a_person_stops_a_server_and_lets_it_go_on(served: Served, page: Page) -> None:
    page.get_by_role("link", name="Kill switch").click()
    expect(page.get_by_text("Nothing is stopped.")).to_be_visible()
    page.get_by_label("What").select_option("server")
    page.get_by_label("Which").fill("files<b>")
    page.get_by_label("Reason").fill("it leaks <script>alert(1)</script>")
    page.get_by_role("button", name="Kill").click()
    expect(page.get_by_text("it leaks <script>alert(1)</script>")).to_be_visible()
    assert rule_at(served, "files<b>") == "kill.server"
    page.get_by_role("button", name="Probation").click()
    expect(page.locator(".pill.hold")).to_have_text("on probation")
    page.get_by_role("button", name="Revive").click()
    expect(page.get_by_text("Nothing is stopped.")).to_be_visible()
    assert rule_at(served, "files<b>") == ""


def test_of_very_many_the_newest_are_shown(http: httpx.Client, served: Served) -> None:
    async def stop_many() -> None:
        for number in range(MOST_SHOWN + 5):
            await served.core.kills.kill(Scope.SESSION, f"ses_{number}", reason="it loops", actor="loop:repeat")

    served.portal.call(stop_many)
    listed = http.get("/console/api/kills", headers=BEARER).json()["kills"]
    assert [one["target"] for one in listed] == [f"ses_{number}" for number in range(MOST_SHOWN + 4, 4, -1)]
