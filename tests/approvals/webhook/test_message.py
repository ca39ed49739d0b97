"""What messages say, and that the reference library believes their signatures."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from approvals.webhook.endpoint import Endpoint
from approvals.webhook.message import Announcer, headers, new_secret, secret_key, sign
from governance.audit.event import Tag
from tests.approvals.calls import AT, ticket_of, tool_call

KEY = secret_key("whsec_" + base64.b64encode(bytes(range(32))).decode())


def test_the_reference_library_signs_alike() -> None:
    moment = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    reference = Webhook("whsec_" + base64.b64encode(KEY).decode()).sign("msg_1", moment, '{"a":1}')
    assert sign(KEY, "msg_1", int(moment.timestamp()), b'{"a":1}') == reference


def test_the_headers_of_an_attempt_carry_its_own_time() -> None:
    made = headers(KEY, "msg_1", AT, b"{}")
    assert (made["webhook-id"], made["webhook-timestamp"]) == ("msg_1", str(int(AT.timestamp())))


@pytest.mark.parametrize("secret", ["", "hunter2", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsec_" + "QUFB" * 30])
def test_a_secret_that_is_none_is_refused_in_words(secret: str) -> None:
    with pytest.raises(ValueError, match="a webhook secret"):
        secret_key(secret)


def test_a_fresh_secret_has_32_bytes() -> None:
    assert len(secret_key(new_secret())) == 32


def test_a_message_has_the_digest_of_the_call_and_none_of_its_text() -> None:
    ticket = replace(ticket_of(tool_call({"path": "/tmp/very-secret"})), decision_reason="looks-fine-to-me")
    (message,) = Announcer([Endpoint("https://a.test", KEY)], "https://wicket.test").messages(
        Tag.APPROVAL_REQUESTED, ticket, AT
    )
    assert "very-secret" not in message.body
    body = json.loads(message.body)
    assert body["type"] == "approval.requested"
    assert body["data"]["digest"] == ticket.digest
    assert body["data"]["link"] == "https://wicket.test/console/approvals/tkt_1"


def test_an_endpoint_gets_the_events_it_asked_for() -> None:
    some = Endpoint("https://a.test", KEY, events=("approval.denied", "approval.exp*"))
    announcer = Announcer([some])
    got = {tag for tag in Tag if announcer.messages(tag, ticket_of(tool_call()), AT)}
    assert got == {Tag.APPROVAL_DENIED, Tag.APPROVAL_EXPIRED}


def test_an_endpoint_does_not_show_its_address_or_key() -> None:
    assert repr(Endpoint("https://a.test/token", KEY)).count("a.test") == 0


def test_a_changed_body_is_not_believed() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(b'{"a":2}', headers(KEY, "msg_1", datetime.now(UTC), b'{"a":1}'))  # noqa: TID251 - the library reads the machine's clock
