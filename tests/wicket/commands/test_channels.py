"""`channels list`, `channels test` and `doctor`: whether people hear of what waits, before anything does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from approvals.webhook.message import new_secret
from tests.approvals.webhook.receiver import Receiver, receiving
from tests.wicket.conftest import Wicket, in_office
from wicket.exits import Exit
from wicket.office import Office

CONFIG = """
gateway: {{port: 0}}
mcp: {{port: 0}}
approvals:
  base_url: http://127.0.0.1:8080
  webhooks:
    - {{url: 'http://localhost:{port}/hook', secret: '${{WEBHOOK}}', allow_private: [localhost]}}
  channels:
    ops: {{type: slack, url: '${{CHAT}}', allow_private: [localhost]}}
    mail: {{type: email, host: localhost, port: 9, security: none, sender: w@example.org, recipients: [a@example.org],
      allow_private: [localhost]}}
"""


@pytest.fixture
def told(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as receiver:
        monkeypatch.setenv("CHAT", f"http://localhost:{receiver.port}/secret-canary")
        monkeypatch.setenv("WEBHOOK", new_secret())
        (installed / "wicket.yaml").write_text(CONFIG.format(port=receiver.port))
        yield receiver


def test_a_message_arrives_and_the_answer_is_said(wicket: Wicket, told: Receiver) -> None:
    ran = wicket("channels", "test", "ops")
    assert (ran.code, ran.out) == (Exit.DONE, "delivered: 204\n")
    ((_, body),) = told.received
    assert b"Wicket can write here" in body
    assert b"http://127.0.0.1:8080/console/approvals" in body


def test_a_webhook_is_tried_by_its_place(wicket: Wicket, told: Receiver) -> None:
    assert wicket("channels", "test", "webhooks[0]", "--json").json["delivered"] is True
    ((sent, body),) = told.received
    assert sent["webhook-id"].startswith("msg_")
    assert b'"type":"test"' in body


def test_a_refusal_is_said_with_what_the_receiver_answered(wicket: Wicket, told: Receiver) -> None:
    told.statuses = [400]
    ran = wicket("channels", "test", "ops", "--json")
    assert ran.code == Exit.UNAVAILABLE
    assert ran.json == {"channel": "ops", "kind": "slack", "delivered": False, "code": 400, "answer": ""}
    ran = wicket("channels", "test", "mail")
    assert (ran.code, ran.out) == (
        Exit.UNAVAILABLE,
        "NOT delivered: no answer came: no connection could be made, or it broke\n",
    )


def test_a_channel_that_is_not_there_is_named_beside_those_that_are(wicket: Wicket, told: Receiver) -> None:
    ran = wicket("channels", "test", "nope")
    assert ran.code == Exit.ABSENT
    assert "there is no channel `nope`; there is `webhooks[0]`, `ops`, `mail`" in ran.err
    assert "canary" not in ran.err


def test_the_list_and_the_doctor_say_how_it_stands(wicket: Wicket, told: Receiver) -> None:
    rows = wicket("channels", "list", "--json").json
    assert [(row["name"], row["kind"], row["state"]) for row in rows] == [
        ("webhooks[0]", "webhook", "nothing sent yet"),
        ("ops", "slack", "nothing sent yet"),
        ("mail", "email", "nothing sent yet"),
    ]
    ops = next(one for one in in_office(routes_of) if one[0] == "ops")

    async def gone(office: Office) -> None:
        await office.deliveries.disable(ops[1], now=office.clock.now())

    in_office(gone)
    assert wicket("channels", "list").out.splitlines()[2].split("  ")[0] == "ops"
    said = {one["subject"]: one for one in wicket("doctor", "--json").json if one["subject"].startswith("channel ")}
    assert said["channel ops"]["health"] == "BAD"
    assert "give it another `url`" in said["channel ops"]["text"]
    assert said["channel mail"]["channel"]["state"] == "nothing sent yet"


async def routes_of(office: Office) -> list[tuple[str, str]]:
    return [(one.name, one.id) for one in office.routes]
