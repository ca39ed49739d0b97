"""Changing the arguments of a held call, on its page and in the API."""

import html
import json

import httpx

from approvals.ticket import State, Ticket
from governance.jsontree import JsonObject
from tests.approvals.calls import tool_call
from tests.console.conftest import Served
from tests.console.core import ADMIN
from tests.console.test_app import http, ours, signed_in

__all__ = ["http"]

BEARER = {"authorization": f"Bearer {ADMIN}"}


def ticket_of(served: Served, ticket: str) -> Ticket:
    found = served.portal.call(served.core.desk.get, ticket)
    assert found is not None
    return found


def test_a_change_is_shown_as_a_diff_before_anything_is_decided(http: httpx.Client, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call({"path": "/tmp/a", "note": "x\u200b"}))
    csrf, place = signed_in(http, served), f"/console/approvals/{ticket}"
    page = http.get(place).text
    shown = html.unescape(page.partition('dir="ltr">{')[2].partition("</textarea>")[0])
    assert "\u200b" not in shown
    assert json.loads("{" + shown) == {"path": "/tmp/a", "note": "x\u200b"}
    wanted = {"path": "<b>\u202e/tmp/b", "note": "x\u200b"}
    form = {"csrf": csrf, "digest": ticket_of(served, ticket).digest, "arguments": json.dumps(wanted)}
    diff = http.post(f"{place}/amend", data=form, headers=ours(served))
    assert diff.status_code == 200
    assert "Approve with this change" in diff.text
    assert '<del><pre dir="ltr">/tmp/a</pre></del>' in diff.text
    assert "&lt;b&gt;" in diff.text
    assert "\\u202e</mark>/tmp/b" in diff.text
    assert "/note</code> <small>changed" not in diff.text
    assert ticket_of(served, ticket).state is State.PENDING
    hidden = html.unescape(diff.text.partition('name="arguments" value="')[2].partition('"')[0])
    done = http.post(f"{place}/approve", data={**form, "arguments": hidden}, headers=ours(served))
    assert done.status_code == 303
    assert ticket_of(served, ticket).edited_arguments == wanted
    assert "Changed by a person" in http.get(place).text


def test_a_change_that_is_none_or_no_json_decides_nothing(http: httpx.Client, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    csrf, place = signed_in(http, served), f"/console/approvals/{ticket}"
    form = {"csrf": csrf, "digest": ticket_of(served, ticket).digest}
    for text, move in (("{", "approve"), ("[]", "approve"), ("{", "amend"), ('{"n":1,"path":"/tmp/a"}', "amend")):
        answer = http.post(f"{place}/{move}", data={**form, "arguments": text}, headers=ours(served))
        assert answer.status_code == 400
        assert "nothing was changed" in answer.text
    stale = {**form, "digest": "0" * 64, "arguments": "{}"}
    assert http.post(f"{place}/approve", data=stale, headers=ours(served)).status_code == 409
    assert http.post(f"{place}/amend", data={**form, "csrf": ""}, headers=ours(served)).status_code == 403
    assert ticket_of(served, ticket).state is State.PENDING


def test_the_api_takes_changed_arguments_with_the_digest_that_they_change(http: httpx.Client, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    path, digest = f"/console/api/tickets/{ticket}", ticket_of(served, ticket).digest
    wrong: tuple[JsonObject, ...] = (
        {"arguments": {}},
        {"arguments": [], "digest": digest},
        {"arguments": "{}", "digest": digest},
    )
    for body in wrong:
        assert http.post(f"{path}/approve", json=body, headers=BEARER).status_code == 400
    stale: JsonObject = {"arguments": {}, "digest": "0" * 64}
    assert http.post(f"{path}/approve", json=stale, headers=BEARER).status_code == 409
    done = http.post(f"{path}/approve", json={"arguments": {"path": "/b"}, "digest": digest}, headers=BEARER).json()
    assert (done["state"], done["digest"]) == ("approved", digest)
    assert done["edited_digest"] not in ("", digest)
    shown = http.get(path, headers=BEARER).json()
    assert (shown["edited"], shown["call"]["arguments"]) == ({"path": "/b"}, {"path": "/tmp/a", "n": 1})
