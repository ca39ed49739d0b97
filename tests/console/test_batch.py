"""Several tickets decided at once: each for itself, and each as it was shown."""

from dataclasses import replace

import httpx
from playwright.sync_api import Page, expect

from approvals.ticket import State
from governance.identity.keys import KeyRole
from governance.jsontree import JsonObject
from governance.verdict import Charter
from tests.approvals.calls import HOLD, tool_call
from tests.console.conftest import Served
from tests.console.core import ADMIN
from tests.console.test_amending import ticket_of
from tests.console.test_app import http, ours, signed_in

__all__ = ["http"]

BEARER = {"authorization": f"Bearer {ADMIN}"}


def held(served: Served, number: int) -> JsonObject:
    """A ticket that waits, as the API is told of it."""
    ticket = served.portal.call(served.core.hold, tool_call({"n": number}))
    return {"id": ticket, "digest": ticket_of(served, ticket).digest}


def test_each_is_decided_for_itself_and_the_answer_says_how_it_went(http: httpx.Client, served: Served) -> None:
    one, other, stale = held(served, 1), held(served, 2), {**held(served, 3), "digest": "0" * 64}
    http.post(f"/console/api/tickets/{other['id']}/deny", headers=BEARER)
    body = {"reason": "fine", "tickets": [stale, one, other, {"id": "tkt_none", "digest": ""}]}
    answer = http.post("/console/api/tickets/batch/approve", json=body, headers=BEARER)
    assert answer.status_code == 200
    assert answer.json()["done"] == 1
    assert [(told["id"], told["done"], told["state"]) for told in answer.json()["tickets"]] == [
        (stale["id"], False, "pending"),
        (one["id"], True, "approved"),
        (other["id"], False, "denied"),
        ("tkt_none", False, ""),
    ]
    assert ticket_of(served, str(one["id"])).decision_reason == "fine"
    assert ticket_of(served, str(stale["id"])).state is State.PENDING


def test_what_names_no_ticket_with_its_digest_decides_nothing(http: httpx.Client, served: Served) -> None:
    one = held(served, 1)
    wrong: tuple[JsonObject, ...] = (
        {},
        {"tickets": []},
        {"tickets": [{"id": one["id"]}]},
        {"tickets": [one, one]},
        {"tickets": [one, 1]},
        {"tickets": [{"id": f"t{number}", "digest": ""} for number in range(101)]},
    )
    for body in wrong:
        assert http.post("/console/api/tickets/batch/approve", json=body, headers=BEARER).status_code == 400
    assert http.get("/console/api/tickets/batch/approve", headers=BEARER).status_code == 405
    assert ticket_of(served, str(one["id"])).state is State.PENDING


def test_who_may_not_decide_about_one_decides_about_none_of_those(http: httpx.Client, served: Served) -> None:
    one = held(served, 1)

    async def hold() -> str:
        verdict = replace(HOLD, charters=(Charter(("team:red",)),))
        return (await served.core.desk.hold(tool_call({"n": 2}), verdict)).ticket

    guarded = served.portal.call(hold)
    tickets = [one, {"id": guarded, "digest": ticket_of(served, guarded).digest}]
    stranger = served.portal.call(lambda: served.core.key(KeyRole.APPROVER, tenant="umbrella"))
    for key, done in ((stranger, 0), (ADMIN, 1)):
        bearer = {"authorization": f"Bearer {key}"}
        answer = http.post("/console/api/tickets/batch/deny", json={"tickets": tickets}, headers=bearer)
        assert answer.json()["done"] == done
    assert ticket_of(served, guarded).state is State.PENDING


def test_a_forged_form_decides_about_nothing(http: httpx.Client, served: Served) -> None:
    one = held(served, 1)
    csrf, place = signed_in(http, served), "/console/approvals/batch/approve"
    form = {"csrf": csrf, f"pick.{one['id']}": str(one["digest"])}
    for wrong in ({**form, "csrf": ""}, {**form, "csrf": "0" * 64}):
        assert http.post(place, data=wrong, headers=ours(served)).status_code == 403
    assert http.post(place, data=form).status_code == 403
    assert http.post(place, data={"csrf": csrf}, headers=ours(served)).status_code == 400
    assert ticket_of(served, str(one["id"])).state is State.PENDING


def test_what_the_list_does_not_show_whole_cannot_be_picked(http: httpx.Client, served: Served) -> None:
    whole = served.portal.call(served.core.hold, tool_call({"n": 1}))
    more = served.portal.call(served.core.hold, tool_call(dict.fromkeys("abcde", 1)))
    long = served.portal.call(served.core.hold, tool_call({"n": "x" * 121}))
    signed_in(http, served)
    page = http.get("/console/approvals").text
    assert f'name="pick.{whole}"' in page
    assert f'name="pick.{more}"' not in page
    assert f'name="pick.{long}"' not in page


def test_two_calls_are_picked_and_approved_with_one_click_while_another_arrives(page: Page, served: Served) -> None:
    tickets = [served.portal.call(served.core.hold, tool_call({"n": number})) for number in (1, 2)]
    left = served.portal.call(served.core.hold, tool_call({"n": 3}))
    page.goto(f"{served.url}/console/approvals")
    for ticket in tickets:
        page.locator(f"input[name='pick.{ticket}']").check()
    late = served.portal.call(served.core.hold, tool_call({"n": 4}))
    expect(page.locator(f"input[name='pick.{late}']")).to_be_visible()
    page.get_by_role("button", name="Approve what is picked").click()
    expect(page.get_by_role("heading", name="Approved: 2 of 2")).to_be_visible()
    assert [ticket_of(served, ticket).state for ticket in (*tickets, left, late)] == [
        *[State.APPROVED] * 2,
        *[State.PENDING] * 2,
    ]
