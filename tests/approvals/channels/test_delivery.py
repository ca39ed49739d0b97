"""Every kind of channel against a real receiver: from the ticket through the outbox, on the schedule of webhooks."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from approvals.channels.kinds import KINDS
from approvals.desk import Desk, Manners
from approvals.store import SqlTickets
from approvals.webhook.courier import SCHEDULE, Courier
from approvals.webhook.message import Announcer
from approvals.webhook.resolving import Resolve
from approvals.webhook.route import Answer, Delivery, Outcome
from approvals.webhook.standing import Standing, standings
from approvals.webhook.store import SqlDeliveries
from governance.config.models_channels import Channel as Settings
from governance.store import Store
from tests.approvals.calls import AT, HOLD, tool_call
from tests.approvals.channels.mailbox import PASSWORD, USER, certificate, mailbox
from tests.approvals.ledger import Ledger
from tests.approvals.webhook.receiver import Receiver, on_loopback, receiving
from tests.conftest import ManualClock

INSIDE = {"allow_private": ("receiver.test", "mail.test", "localhost")}
MAIL: dict[str, Any] = {
    "type": "email",
    "sender": "wicket@example.org",
    "recipients": ("a@example.org", "b@example.org"),
}


def channel(**settings: Any) -> Any:
    """A channel called `ops`."""
    read = Settings.model_validate(INSIDE | settings)
    return KINDS[read.type]("ops", read)


async def attempt(channel: Any, resolver: Resolve = on_loopback) -> Answer:
    """One attempt to send what `wicket channels test` sends."""
    body = channel.trial(AT, "https://wicket.test")
    return await channel.send(Delivery("msg_1", channel.id, body, 0, AT), now=AT, seconds=10, resolver=resolver)


class Told:
    """A desk whose tickets are told of in one channel."""

    def __init__(self, store: Store, ledger: Ledger, clock: ManualClock, channel: Any) -> None:
        self.clock, self.channel = clock, channel
        self.deliveries = SqlDeliveries(store)
        tickets = SqlTickets(store, ledger, Announcer([channel], "https://wicket.test"))
        self.desk = Desk(tickets, clock, Manners(wait_seconds=0))
        self.courier = Courier(self.deliveries, [channel], clock, resolver=on_loopback)

    async def send_all(self) -> None:
        while await self.courier.send_due():
            pass

    async def standing(self) -> Standing:
        (found,) = standings([self.channel], await self.deliveries.counted())
        return found

    async def whole_story(self) -> None:
        """A question, a reminder, a decision of each kind, and one that nobody decides."""
        asked = [await self.desk.hold(tool_call({"path": f"/tmp/{number}"}), HOLD) for number in range(3)]
        self.clock.advance(150)
        await self.desk.remind()
        await self.desk.approve(asked[0].ticket, by="ann")
        await self.desk.deny(asked[1].ticket, by="ann", reason="not today")
        self.clock.advance(150)
        await self.desk.look()
        await self.send_all()


TITLES = ["A call ran out of time", "A call was approved", "A call was denied"] + [
    "A call still waits for approval", "A call waits for approval"
] * 3  # fmt: skip


@pytest.fixture
async def chat() -> AsyncIterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.mark.parametrize("kind", ["slack", "teams"])
async def test_a_chat_hears_of_questions_reminders_decisions_and_ends(
    kind: str, chat: Receiver, store: Store, ledger: Ledger, clock: ManualClock
) -> None:
    told = Told(store, ledger, clock, channel(type=kind, url=chat.url))
    await told.whole_story()
    bodies = [json.loads(body) for _, body in chat.received]
    titles = [title_of(kind, one) for one in bodies]
    assert sorted(titles) == sorted(TITLES)
    assert all("/console/approvals/tkt_" in json.dumps(one) for one in bodies)
    assert any("/tmp/0" in json.dumps(one) for one in bodies)
    assert {sent["content-type"] for sent, _ in chat.received} == {"application/json"}


def title_of(kind: str, body: Any) -> str:
    block = body["blocks"][0]["text"] if kind == "slack" else body["attachments"][0]["content"]["body"][0]
    return str(block["text"])


async def test_a_mailbox_hears_of_the_same(store: Store, ledger: Ledger, clock: ManualClock) -> None:
    async with mailbox() as box:
        told = Told(store, ledger, clock, channel(**MAIL, host="localhost", port=box.port, security="none"))
        await told.whole_story()
    subjects = [str(message["Subject"]) for _, message in box.envelopes]
    assert sorted(one.removeprefix("[Wicket] ").partition(":")[0] for one in subjects) == sorted(TITLES)
    assert {tuple(recipients) for recipients, _ in box.envelopes} == {MAIL["recipients"]}


async def test_a_chat_is_tried_on_the_schedule_of_webhooks_and_its_standing_tells(
    chat: Receiver, store: Store, ledger: Ledger, clock: ManualClock
) -> None:
    told = Told(store, ledger, clock, channel(type="slack", url=chat.url, events=("approval.requested",)))
    assert (await told.standing()).state == "nothing sent yet"
    await told.desk.hold(tool_call(), HOLD)
    chat.statuses = [500] * len(SCHEDULE)
    for pause in SCHEDULE:
        clock.advance(max(0, pause - 1))
        if pause:
            assert await told.courier.send_due() == 0
            clock.advance(1)
        assert await told.courier.send_due() == 1
        assert (await told.standing()).state == "failing"
    assert ((await told.standing()).waiting, (await told.standing()).given_up) == (0, 1)
    await told.desk.hold(tool_call({"n": 2}), HOLD)
    await told.send_all()
    assert (await told.standing()).state == "well"
    assert len(chat.received) == len(SCHEDULE) + 1


async def test_a_mailbox_is_tried_again_with_the_same_message(store: Store, ledger: Ledger, clock: ManualClock) -> None:
    async with mailbox() as box:
        told = Told(store, ledger, clock, channel(**MAIL, host="localhost", port=box.port, security="none"))
        box.replies = ["451 4.3.0 later", "550 5.7.1 never"]
        await told.desk.hold(tool_call(), HOLD)
        for seconds in (0, 5, 300):
            clock.advance(seconds)
            assert await told.courier.send_due() == 1
        assert (await told.standing()).state == "well"
    assert [message["Message-ID"] is not None for _, message in box.envelopes] == [True]


async def test_a_chat_that_is_gone_is_sent_nothing_more(
    chat: Receiver, store: Store, ledger: Ledger, clock: ManualClock
) -> None:
    told = Told(store, ledger, clock, channel(type="slack", url=chat.url))
    chat.statuses = [410]
    await told.desk.hold(tool_call(), HOLD)
    await told.send_all()
    await told.desk.hold(tool_call({"n": 2}), HOLD)
    await told.send_all()
    assert len(chat.received) == 1
    assert (await told.standing()).state == "switched off"


async def test_a_route_that_breaks_takes_no_other_message_with_it(
    chat: Receiver, store: Store, ledger: Ledger, clock: ManualClock
) -> None:
    class Broken(KINDS["slack"]):
        async def tell(self, *_: Any, **__: Any) -> Answer:
            raise RuntimeError

    good = channel(type="slack", url=chat.url)
    broken = Broken("broken", good.settings)
    tickets = SqlTickets(store, ledger, Announcer([broken, good]))
    await Desk(tickets, clock, Manners(wait_seconds=0)).hold(tool_call(), HOLD)
    courier = Courier(SqlDeliveries(store), [broken, good], clock, resolver=on_loopback)
    assert await courier.send_due() == 2
    assert len(chat.received) == 1


@pytest.mark.parametrize("settings", [{"type": "slack"}, MAIL], ids=["slack", "email"])
async def test_nothing_is_sent_inside_unless_the_host_is_named(settings: dict[str, Any], chat: Receiver) -> None:
    where = {"url": chat.url} if settings["type"] == "slack" else {"host": "receiver.test", "port": chat.port}
    answer = await attempt(channel(**settings, **where, allow_private=()))
    assert (answer.outcome, answer.code) == (Outcome.FAILED, 0)
    assert "receiver.test" in answer.text
    assert chat.received == []


async def test_without_encryption_nothing_leaves_the_machine() -> None:
    async def elsewhere(host: str, port: int) -> list[str]:
        return ["192.0.2.1"]

    answer = await attempt(channel(**MAIL, host="localhost", security="none"), elsewhere)
    assert answer.text == "`localhost` is not this machine, so `security` must not be `none`"


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_mailbox_is_signed_in_to_over_an_encrypted_connection(
    security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trust = certificate(tmp_path, "mail.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(trust))
    async with served(security, context) as box:
        settings = {**MAIL, "host": "mail.test", "port": box.port, "security": security, "user": USER}
        answer = await attempt(channel(**settings, password=PASSWORD))
        assert (answer.outcome, answer.code, box.encrypted) == (Outcome.DELIVERED, 250, [True])
        wrong = await attempt(channel(**settings, password="wrong-wrong"))
        assert (wrong.outcome, wrong.code) == (Outcome.FAILED, 535)
        assert PASSWORD not in wrong.text + answer.text


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_server_that_is_not_who_it_should_be_gets_neither_the_password_nor_the_message(
    security: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trust = certificate(tmp_path, "other.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(trust))
    async with served(security, context) as box:
        settings = {**MAIL, "host": "mail.test", "port": box.port, "security": security, "user": USER}
        answer = await attempt(channel(**settings, password=PASSWORD))
    assert (answer.outcome, answer.code, box.envelopes) == (Outcome.FAILED, 0, [])
    assert answer.text == "no answer came: the certificate is not that of the server"


def served(security: str, context: ssl.SSLContext) -> Any:
    return mailbox(tls=context, auth=True) if security == "tls" else mailbox(starttls=context, auth=True)


async def test_a_server_without_encryption_is_handed_nothing_that_needs_it() -> None:
    async with mailbox() as box:
        answer = await attempt(channel(**MAIL, host="mail.test", port=box.port))
    assert (answer.outcome, box.envelopes) == (Outcome.FAILED, [])
    assert answer.text == "no answer came: the server offers no encryption, or no way to sign in"


async def test_what_reached_one_recipient_is_delivered_and_what_reached_none_is_not() -> None:
    async with mailbox() as box:
        mail = channel(**MAIL, host="localhost", port=box.port, security="none")
        box.unknown = {"a@example.org"}
        some = await attempt(mail)
        box.unknown = {"a@example.org", "b@example.org"}
        none = await attempt(mail)
    assert (some.outcome, [recipients for recipients, _ in box.envelopes]) == (Outcome.DELIVERED, [["b@example.org"]])
    assert "not for a@example.org" in some.text
    assert (none.outcome, none.code) == (Outcome.FAILED, 550)


async def test_a_server_is_reached_by_whichever_of_its_checked_addresses_takes_a_connection() -> None:
    async def both(host: str, port: int) -> list[str]:
        return ["::1", "127.0.0.1"]

    async with mailbox() as box:
        answer = await attempt(channel(**MAIL, host="localhost", port=box.port, security="none"), both)
    assert answer.outcome is Outcome.DELIVERED


async def test_a_receiver_that_is_not_there_has_failed_in_our_words() -> None:
    for absent in (
        channel(type="teams", url="http://receiver.test:9/secret-path"),
        channel(**MAIL, host="localhost", port=9, security="none"),
    ):
        answer = await attempt(absent)
        assert (answer.outcome, answer.code) == (Outcome.FAILED, 0)
        assert "secret" not in answer.text
        assert answer.text.startswith("no answer came: ")


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with receiving() as silent:  # an HTTP server waits for us to speak, as we wait for it
        mail = channel(**MAIL, host="localhost", port=silent.port, security="none")
        body = mail.trial(AT, "https://wicket.test")
        answer = await mail.send(Delivery("msg_1", mail.id, body, 0, AT), now=AT, seconds=0.3, resolver=on_loopback)
    assert (answer.outcome, answer.text) == (Outcome.FAILED, "no answer came: it took too long")
