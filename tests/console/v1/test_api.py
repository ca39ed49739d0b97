"""The API over HTTP: who may what, what it says, and that it says what its description says."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import validate

from approvals.desk import HeldState
from console.app import framed
from console.roles import ROLES
from console.v1.app import OPERATIONS, routes
from governance.audit.event import Draft, Tag, Value
from governance.audit.query import Wanted, find
from governance.identity.keys import EVERY_TENANT, KeyRole
from tests.approvals.calls import HOLD, tool_call
from tests.console.core import ADMIN
from tests.console.v1.conftest import BODIES, Api

PEOPLE = [role for role in KeyRole if role is not KeyRole.AGENT]


def asked(http: httpx.Client, api: Api, operation: Any, headers: dict[str, str], **more: Any) -> httpx.Response:
    """The answer to an operation, with what it needs."""
    body = BODIES.get(operation.id)
    return http.request(
        operation.method, operation.path.format(**api.ids), headers=headers, json=more.get("json", body)
    )


def conforms(http: httpx.Client, answer: httpx.Response, path: str, method: str) -> None:
    """Hold an answer to what the description says of it."""
    described = http.get("/openapi.json").json()
    told = described["paths"][f"/api/v1{path}"][method.lower()]["responses"]
    content = told[str(answer.status_code)]["content"]
    media_type = answer.headers["content-type"].partition(";")[0]
    # The whole description is the schema's document, so that what it refers to is found in it.
    schema = {**described, "$ref": content[media_type]["schema"]["$ref"]}
    for line in answer.text.splitlines() if media_type == "application/x-ndjson" else [answer.text]:
        jsonschema.validate(json.loads(line), schema, jsonschema.Draft202012Validator)


def test_the_description_is_a_sound_one_and_open_to_everybody(http: httpx.Client) -> None:
    described = http.get("/openapi.json")
    assert described.status_code == 200
    assert described.json()["openapi"] == "3.1.0"
    validate(described.json())


def test_every_address_is_described_and_names_a_permission(http: httpx.Client, api: Api) -> None:
    served = {(method, route.path) for route in routes(framed(api.core)) for method in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    described = http.get("/openapi.json").json()["paths"]
    told = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert served == told | {("GET", "/api/v1/openapi.json")}
    for methods in described.values():
        for one in methods.values():
            assert one["x-wicket-permission"] in {str(permission) for permission in ROLES[KeyRole.ADMIN]}


@pytest.mark.parametrize("role", PEOPLE)
def test_each_role_is_answered_exactly_what_it_may_ask(http: httpx.Client, api: Api, role: KeyRole) -> None:
    headers = api.key(role)
    for one in OPERATIONS:
        answer = asked(http, api, one, headers)
        if one.permission in ROLES[role]:
            assert answer.status_code in ((200, 409) if one.body else (200,)), (one.id, answer.text)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), one.id
        conforms(http, answer, one.path, one.method)


@pytest.mark.parametrize("header", [None, "Bearer wk_wrong", "Basic YTpi", "bearer", "Bearer x" * 100])
def test_without_a_good_key_nothing_is_answered(http: httpx.Client, api: Api, header: str | None) -> None:
    for one in OPERATIONS:
        answer = asked(http, api, one, {"authorization": header} if header is not None else {})
        assert answer.status_code in (401, 429), one.id
        assert answer.headers["content-type"] == "application/problem+json"
        conforms(http, answer, one.path, one.method)


def test_an_agents_key_and_a_browsers_session_open_nothing(http: httpx.Client, api: Api) -> None:
    assert http.get("/sessions", headers=api.key(KeyRole.AGENT)).status_code == 401
    assert http.get("/sessions", headers={"cookie": f"wicket_console={ADMIN}"}).status_code == 401


def test_who_fails_too_often_is_told_to_wait_and_a_good_key_is_let_in(http: httpx.Client, api: Api) -> None:
    wrong = {"authorization": "Bearer wk_guess"}
    answers = [http.get("/me", headers=wrong) for _ in range(12)]
    assert [one.status_code for one in answers] == [401] * 10 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) > 0
    assert http.get("/me", headers=api.bearer()).status_code == 200
    api.core.clock.advance(60)
    api.portal.call(api.core.identity.refresh)
    assert http.get("/me", headers=wrong).status_code == 401
    events = api.portal.call(find, api.core.store, Wanted(event_types=("person.refused",)))
    assert [event.fields["code"] for event in events] == ["unknown"] * 10 + ["crowded"] * 2 + ["unknown"]


def test_it_says_who_asks(http: httpx.Client, api: Api) -> None:
    said = http.get("/me", headers=api.key(KeyRole.VIEWER)).json()
    assert (said["role"], said["tenant"], said["user"]) == ("viewer", "acme", "ann")
    assert said["permissions"] == ["overview:read", "policies:read", "self:all", "servers:read", "sessions:read"]


@pytest.mark.parametrize("role", [KeyRole.VIEWER, KeyRole.APPROVER, KeyRole.AUDITOR])
def test_nothing_of_another_tenant_is_answered(http: httpx.Client, api: Api, role: KeyRole) -> None:
    stranger = api.key(role, tenant="umbrella")
    for one in OPERATIONS:
        if one.permission not in ROLES[role] or one.tag in ("me", "servers", "pins"):
            continue
        body = {**BODIES.get(one.id, {}), "digest": "0" * 64} if one.id == "decideApproval" else BODIES.get(one.id)
        answer = asked(http, api, one, stranger, **({"json": body} if body else {}))
        if "{" in one.path:
            assert answer.status_code == 404, one.id
        elif one.id != "showChain":
            assert "ses_1" not in answer.text, one.id
            assert "write_file" not in answer.text, one.id
        for asks in ("acme", "*"):
            widened = http.request(one.method, one.path.format(**api.ids), headers=stranger, params={"tenant": asks})
            assert "ses_1" not in widened.text, one.id


def test_an_auditor_of_all_tenants_reads_and_exports_all(http: httpx.Client, api: Api) -> None:
    auditor = api.key(KeyRole.AUDITOR, tenant=EVERY_TENANT)
    lines = http.get("/audit/export", headers=auditor).text.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))
    chain = http.get("/audit/chain", headers=auditor).json()
    assert (chain["count"], chain["sound"]) == (len(lines), True)
    found = http.get("/audit/events", headers=auditor, params={"tag": "approval.requested"}).json()["items"]
    assert [one["fields"]["approval_id"] for one in found] == [api.ids["approval"]]


def test_lists_are_turned_page_by_page_while_more_arrives(http: httpx.Client, api: Api) -> None:
    for number in range(6):
        api.core.clock.advance(1)
        api.portal.call(lambda number=number: api.core.seen(f"ses_{number + 2}"))
        api.hold({"path": f"/{number}"})
    for path in ("/sessions", "/approvals", "/audit/events", "/sessions/ses_1/events", "/keys", "/pins"):
        whole = http.get(path, headers=api.bearer(), params={"limit": 200}).json()
        seen: list[Any] = []
        cursor, pages = "", 0
        while cursor is not None:
            page = http.get(path, headers=api.bearer(), params={"limit": 2, "cursor": cursor}).json()
            seen += page["items"]
            cursor, pages = page["next"], pages + 1
            if path == "/sessions" and pages == 1:
                api.core.clock.advance(1)
                api.portal.call(api.core.seen, "ses_new")
        assert seen == whole["items"], path


@pytest.mark.parametrize("cursor", ["x", "!!", "W10", "WzFd", "WyJhIl0", "bnVsbA", "A" * 600, "W3RydWUsMV0"])
def test_a_cursor_that_no_list_gave_is_refused(http: httpx.Client, api: Api, cursor: str) -> None:
    for path in ("/sessions", "/approvals", "/audit/events"):
        answer = http.get(path, headers=api.bearer(), params={"cursor": cursor})
        assert answer.status_code in ((400, 422) if path != "/audit/events" or cursor != "WzFd" else (200,))


def test_what_is_not_asked_properly_is_said_where(http: httpx.Client, api: Api) -> None:
    wrong = http.get("/sessions", headers=api.bearer(), params={"limit": "0", "agnet": "x"})
    assert wrong.status_code == 422
    assert sorted(one["where"] for one in wrong.json()["errors"]) == ["/agnet", "/limit"]
    canary = "canary-never-repeated"
    body = http.post("/kills", headers=api.bearer(), json={"scope": canary, "reason": 1})
    assert [one["where"] for one in body.json()["errors"]] == ["/scope", "/reason"]
    assert canary not in body.text
    twice = http.get("/sessions?agent=a&agent=b", headers=api.bearer())
    assert twice.status_code == 422
    assert http.get("/nowhere", headers=api.bearer()).json()["code"] == "unknown"
    assert http.delete("/sessions", headers=api.bearer()).status_code == 405
    for raw, status in ((b"{", 400), (b'{"reason":1,"reason":2}', 400), (b"[]", 422), (b"x" * 70_000, 413)):
        json_type = {**api.bearer(), "content-type": "application/json"}
        assert http.post("/kills", content=raw, headers=json_type).status_code == status
    assert http.post("/kills", content=b"{}", headers=api.bearer()).status_code == 415


def test_a_held_call_is_decided_once_and_only_as_it_was_seen(http: httpx.Client, api: Api) -> None:
    approver, path = api.key(KeyRole.APPROVER), f"/approvals/{api.ids['approval']}"
    shown = http.get(path, headers=approver).json()
    assert shown["call"]["arguments"] == tool_call().arguments
    other = http.post(f"{path}/decision", headers=approver, json={"decision": "approve", "digest": "0" * 64})
    assert (other.status_code, other.json()["code"]) == (409, "digest")
    wish = {"decision": "approve", "digest": shown["current_digest"], "reason": "fine"}
    assert http.post(f"{path}/decision", headers=approver, json=wish).json()["state"] == "approved"
    again = http.post(f"{path}/decision", headers=approver, json=wish)
    assert (again.status_code, again.json()["code"]) == (409, "settled")
    held = api.portal.call(api.core.desk.hold, tool_call(), HOLD)
    assert held.state is HeldState.APPROVED
    assert http.get(path, headers=approver).json()["decided_by"].startswith("ann (key_")


def test_a_decision_that_is_sent_again_is_made_once_and_answered_the_same(http: httpx.Client, api: Api) -> None:
    path = f"/approvals/{api.ids['approval']}"
    approver = api.key(KeyRole.APPROVER)
    digest = http.get(path, headers=approver).json()["current_digest"]
    wish = {"decision": "deny", "digest": digest, "reason": "no"}

    def decide(body: dict[str, str] = wish, key: str = "one", headers: dict[str, str] = approver) -> httpx.Response:
        return http.post(f"{path}/decision", headers={**headers, "idempotency-key": key}, json=body)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(decide, [wish] * 8))
    assert {one.status_code for one in answers} <= {200, 409}
    assert {one.json()["code"] for one in answers if one.status_code == 409} <= {"under_way"}
    again = decide()
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json()["state"] == "denied"
    changed = decide({**wish, "reason": "another"})
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key")
    # A key is the caller's own: somebody else's is another one.
    assert decide(headers=api.bearer()).json()["code"] == "settled"
    events = api.portal.call(find, api.core.store, Wanted(event_types=("approval.denied",)))
    assert len(events) == 1
    api.core.clock.advance(24 * 3600 + 1)
    api.portal.call(api.core.identity.refresh)
    assert decide(key="one").json()["code"] == "settled"


def test_what_was_not_understood_is_not_remembered(http: httpx.Client, api: Api) -> None:
    headers = {**api.bearer(), "idempotency-key": "k"}
    wrong = http.post("/kills", headers=headers, json={"scope": "session", "reason": "no target"})
    assert wrong.status_code == 422
    right = http.post("/kills", headers=headers, json={"scope": "session", "target": "ses_1", "reason": "loops"})
    assert right.json() == {"scope": "session", "target": "ses_1", "killed": True, "changed": True}


def test_a_session_is_stopped_put_on_probation_and_revived(http: httpx.Client, api: Api) -> None:
    admin = api.bearer()
    order = {"scope": "session", "target": "ses_1", "reason": "loops"}
    assert http.post("/kills", headers=admin, json=order).json()["changed"] is True
    assert http.post("/kills", headers=admin, json=order).json()["changed"] is False
    assert http.get("/sessions/ses_1", headers=admin).json()["killed"] is True
    (kill,) = http.get("/kills", headers=admin).json()["items"]
    assert (kill["target"], kill["reason"], kill["actor"]) == ("ses_1", "loops", "admin")
    half = {"scope": "session", "target": "ses_1", "probation": True}
    assert http.post("/kills/revival", headers=admin, json=half).json()["changed"] is True
    assert http.get("/sessions/ses_1", headers=admin).json()["probation"] is True
    assert http.post("/kills/revival", headers=admin, json={**half, "probation": False}).json()["changed"] is True
    assert http.get("/kills", headers=admin).json()["items"] == []


def test_a_key_is_listed_with_its_last_use_and_revoked_with_a_reason(http: httpx.Client, api: Api) -> None:
    admin, key = api.bearer(), api.ids["key"]
    listed = {one["id"]: one for one in http.get("/keys", headers=admin, params={"valid": "true"}).json()["items"]}
    assert (listed[key]["state"], listed[key]["role"], listed[key]["last_used_at"]) == ("valid", "agent", "")
    done = http.post(f"/keys/{key}/revocation", headers=admin, json={"reason": "lost"})
    assert done.json() == {"id": key, "changed": True}
    assert http.post(f"/keys/{key}/revocation", headers=admin, json={"reason": "lost"}).json()["changed"] is False
    assert key not in http.get("/keys", headers=admin, params={"valid": "true"}).text
    (event,) = api.portal.call(find, api.core.store, Wanted(event_types=("key.revoked",)))
    assert (event.fields["reason"], event.fields["actor"]) == ("lost", "admin")
    assert http.post("/keys/nobody/revocation", headers=admin, json={"reason": "x"}).status_code == 404


def test_what_a_call_held_is_for_who_may_read_the_log(http: httpx.Client, api: Api) -> None:
    fields: dict[str, Value] = {"session_id": "ses_1", "tenant_id": "acme", "content": "masked words"}
    api.portal.call(api.core.audit.append, Draft(Tag.EXCHANGE_ADMITTED, fields))
    viewer, auditor = api.key(KeyRole.VIEWER), api.key(KeyRole.AUDITOR)
    assert "masked words" not in http.get("/sessions/ses_1/events", headers=viewer).text
    assert "masked words" in http.get("/sessions/ses_1/events", headers=auditor).text
