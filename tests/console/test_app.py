"""Who gets in, who sees what, and which requests change something, over HTTP."""

from collections.abc import Iterator

import httpx
import pytest

from approvals.desk import HeldState
from console.access import mint_login
from governance.identity.keys import KeyRole
from tests.approvals.calls import HOLD, LOOP, tool_call
from tests.console.conftest import Served
from tests.console.core import ADMIN


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def ours(served: Served) -> dict[str, str]:
    """What a browser says of a form on our own page."""
    return {"origin": served.url, "sec-fetch-site": "same-origin"}


def signed_in(http: httpx.Client, served: Served, secret: str = ADMIN) -> str:
    """Sign in; returns the token of the session's forms."""
    answer = http.post("/console/login", data={"secret": secret}, headers=ours(served))
    assert answer.status_code == 303, answer.text
    page = http.get("/console/sessions").text
    return page.partition('name="csrf" value="')[2].partition('"')[0]


def test_nobody_is_let_in_without_a_key(http: httpx.Client) -> None:
    for path in ("/console/", "/console/approvals", "/console/approvals/x", "/console/sessions", "/console/audit"):
        answer = http.get(path)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/console/login")
    for path in ("/console/api/tickets", "/console/api/tickets/x", "/console/api/sessions", "/console/api/live"):
        assert http.get(path).status_code == 401


@pytest.mark.parametrize(
    "path", ["/console/", "/console/login", "/console/nowhere", "/console/static/console.js", "/console/api/tickets"]
)
def test_every_answer_carries_the_same_protection(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"


def test_the_cookie_is_closed_to_scripts_and_other_sites(http: httpx.Client, served: Served) -> None:
    answer = http.post("/console/login", data={"secret": ADMIN}, headers=ours(served))
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert ADMIN not in cookie


def test_behind_a_proxy_that_ends_tls_the_cookie_is_for_secure_connections_only(
    http: httpx.Client, served: Served
) -> None:
    secure = {**ours(served), "origin": served.url.replace("http:", "https:")}
    answer = http.post("/console/login", data={"secret": ADMIN}, headers=secure)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-wicket=")
    assert "; Secure" in cookie
    assert "; Path=/;" in f"{cookie};"
    http.cookies.clear()
    held = {"cookie": cookie.partition(";")[0]}
    page = http.get("/console/sessions", headers=held)
    assert page.status_code == 200
    csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    gone = http.post("/console/logout", data={"csrf": csrf}, headers={**secure, **held})
    assert gone.headers["set-cookie"].startswith("__Host-wicket=")
    assert http.get("/console/sessions", headers=held).status_code == 303


def test_an_agents_key_does_not_open_the_console(http: httpx.Client, served: Served) -> None:
    agent = served.portal.call(served.core.key, KeyRole.AGENT)
    assert http.post("/console/login", data={"secret": agent}, headers=ours(served)).status_code == 401
    assert http.get("/console/api/tickets", headers={"authorization": f"Bearer {agent}"}).status_code == 401
    ticket = served.portal.call(served.core.hold, tool_call())
    path = f"/console/api/tickets/{ticket}/approve"
    assert http.post(path, headers={"authorization": f"Bearer {agent}"}).status_code == 401


def test_a_link_that_is_old_is_refused(http: httpx.Client, served: Served) -> None:
    token = served.portal.call(mint_login, served.core.store, served.core.clock)
    served.core.clock.moment = served.core.clock.moment.replace(year=2030)
    assert http.post("/console/login", data={"secret": token}, headers=ours(served)).status_code == 401


def test_a_session_ends_with_its_key(http: httpx.Client, served: Served) -> None:
    key = served.portal.call(served.core.key, KeyRole.APPROVER)
    signed_in(http, served, key)
    assert http.get("/console/approvals").status_code == 200
    served.portal.call(served.core.revoke, key)
    assert http.get("/console/approvals").status_code == 303


def test_signing_out_ends_the_session_itself(http: httpx.Client, served: Served) -> None:
    csrf = signed_in(http, served)
    cookies = dict(http.cookies)
    assert http.post("/console/logout", data={"csrf": csrf}, headers=ours(served)).status_code == 303
    assert httpx.get(f"{served.url}/console/audit", cookies=cookies, trust_env=False).status_code == 303


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": ""},
        {"origin": "null"},
        {"origin": "http://evil.test"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"csrf": ""},
        {"csrf": "0" * 64},
    ],
)
def test_a_forged_form_decides_nothing(http: httpx.Client, served: Served, wrong: dict[str, str]) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    csrf = wrong.get("csrf", signed_in(http, served))
    headers = {**ours(served), **{name: value for name, value in wrong.items() if name != "csrf"}}
    found = served.portal.call(served.core.desk.get, ticket)
    assert found is not None
    form = {"csrf": csrf, "digest": found.digest}
    answer = http.post(
        f"/console/approvals/{ticket}/approve", data=form, headers={k: v for k, v in headers.items() if v}
    )
    assert answer.status_code == 403
    assert served.portal.call(served.core.desk.hold, tool_call(), HOLD).state is HeldState.PENDING


def test_a_get_decides_nothing(http: httpx.Client, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    signed_in(http, served)
    for path in (f"/console/approvals/{ticket}/approve", f"/console/api/tickets/{ticket}/approve"):
        assert http.get(path).status_code == 405
    assert served.portal.call(served.core.desk.hold, tool_call(), HOLD).state is HeldState.PENDING


def test_what_was_not_shown_is_not_approved(http: httpx.Client, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    csrf = signed_in(http, served)
    form = {"csrf": csrf, "digest": "0" * 64}
    assert http.post(f"/console/approvals/{ticket}/approve", data=form, headers=ours(served)).status_code == 409
    bearer = {"authorization": f"Bearer {ADMIN}"}
    path = f"/console/api/tickets/{ticket}/approve"
    assert http.post(path, json={"digest": "0" * 64}, headers=bearer).status_code == 409


def test_whoever_decides_is_known_from_the_key_and_not_from_the_body(http: httpx.Client, served: Served) -> None:
    key = served.portal.call(served.core.key, KeyRole.APPROVER)
    ticket = served.portal.call(served.core.hold, tool_call())
    answer = http.post(
        f"/console/api/tickets/{ticket}/deny",
        json={"reason": "no", "decided_by": "root", "by": "root"},
        headers={"authorization": f"Bearer {key}"},
    )
    assert answer.json()["decided_by"].startswith("ann (key_")
    again = http.post(f"/console/api/tickets/{ticket}/approve", headers={"authorization": f"Bearer {key}"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "settled")


def test_an_approver_sees_and_decides_only_for_its_tenant(http: httpx.Client, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    served.portal.call(served.core.seen, "ses_1")
    stranger = {
        "authorization": f"Bearer {served.portal.call(lambda: served.core.key(KeyRole.APPROVER, tenant='umbrella'))}"
    }
    assert http.get("/console/api/tickets", headers=stranger).json() == {"tickets": []}
    assert http.get("/console/api/sessions", headers=stranger).json() == {"sessions": []}
    for path in (f"/console/api/tickets/{ticket}", "/console/api/sessions/ses_1"):
        assert http.get(path, headers=stranger).status_code == 404
    assert http.post(f"/console/api/tickets/{ticket}/approve", headers=stranger).status_code == 404
    assert http.get(f"/console/approvals/{ticket}", headers=stranger).status_code == 404


@pytest.mark.parametrize(("relief", "status"), [("10", 200), ("exempt", 200), ("", 200), ("0", 400), ("all", 400)])
def test_of_a_call_that_repeats_more_can_be_allowed(
    http: httpx.Client, served: Served, relief: str, status: int
) -> None:
    ticket = served.portal.call(served.core.desk.hold, tool_call(), LOOP).ticket
    bearer = {"authorization": f"Bearer {ADMIN}"}
    answer = http.post(f"/console/api/tickets/{ticket}/approve", json={"relief": relief}, headers=bearer)
    assert answer.status_code == status
    shown = http.get(f"/console/api/tickets/{ticket}", headers=bearer).json()
    expected = ("approved", relief) if status == 200 else ("pending", "")
    assert (shown["state"], shown["relief"]) == expected


def test_of_any_other_call_no_more_can_be_allowed(http: httpx.Client, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    found = served.portal.call(served.core.desk.get, ticket)
    assert found is not None
    bearer = {"authorization": f"Bearer {ADMIN}"}
    answer = http.post(f"/console/api/tickets/{ticket}/approve", json={"relief": "exempt"}, headers=bearer)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "relief")
    form = {"csrf": signed_in(http, served), "digest": found.digest, "relief": "exempt"}
    page = http.post(f"/console/approvals/{ticket}/approve", data=form, headers=ours(served))
    assert (page.status_code, "was not held because something repeats" in page.text) == (400, True)
    assert served.portal.call(served.core.desk.hold, tool_call(), HOLD).state is HeldState.PENDING


def test_only_an_administrator_stops_a_session(http: httpx.Client, served: Served) -> None:
    served.portal.call(served.core.seen, "ses_1")
    approver = {"authorization": f"Bearer {served.portal.call(served.core.key, KeyRole.APPROVER)}"}
    assert http.post("/console/api/sessions/ses_1/kill", headers=approver).status_code == 403
    admin = {"authorization": f"Bearer {ADMIN}"}
    answer = http.post("/console/api/sessions/ses_1/kill", json={"reason": "loops"}, headers=admin)
    assert answer.json() == {"session": "ses_1", "killed": True, "changed": True}
    assert http.get("/console/api/sessions/ses_1", headers=admin).json()["killed"] is True


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"reason":1,"reason":2}', b'{"reason":"' + b"x" * 70_000 + b'"}'])
def test_a_body_that_is_not_understood_changes_nothing(http: httpx.Client, served: Served, body: bytes) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    headers = {"authorization": f"Bearer {ADMIN}", "content-type": "application/json"}
    answer = http.post(f"/console/api/tickets/{ticket}/approve", content=body, headers=headers)
    assert answer.status_code in (400, 413)
    assert served.portal.call(served.core.desk.hold, tool_call(), HOLD).state is HeldState.PENDING


def test_a_link_does_not_lead_elsewhere_after_signing_in(http: httpx.Client, served: Served) -> None:
    for target in ("//evil.test", "https://evil.test", "/console/../v1", "/console/\\evil", "/console/..//evil.test"):
        form = {"secret": ADMIN, "next": target}
        answer = http.post("/console/login", data=form, headers=ours(served))
        place = httpx.URL(served.url + "/").join(answer.headers["location"])
        assert str(place).startswith(served.url + "/")


def test_keys_that_cannot_be_read_let_nobody_in(http: httpx.Client, served: Served) -> None:
    served.core.clock.advance(61)
    assert http.get("/console/api/tickets", headers={"authorization": f"Bearer {ADMIN}"}).status_code == 503
