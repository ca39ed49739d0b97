"""Answers that come on another stream than the one their call was made on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
import pytest

from mcp_proxy.calls import MISSED, MISSED_BYTES, Calls
from mcp_proxy.link import Event
from mcp_proxy.message import MalformedMessageError, Message


@dataclass
class Pocket:
    """An outlet that keeps what it is given."""

    gone: bool = False
    events: list[Event] = field(default_factory=list[Event])

    async def begin(self, status: int, headers: Mapping[str, str]) -> None: ...

    async def put(self, event: Event) -> None:
        self.events.append(event)

    async def end(self) -> None: ...


def request(number: int = 1) -> Message:
    return Message.build({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "t"}})


def response(number: int = 1, text: str = "raw") -> Event:
    return Event(Message.build({"jsonrpc": "2.0", "id": number, "result": {"text": text}}), "place")


async def test_an_answer_that_was_delivered_is_not_replayed() -> None:
    calls = Calls()
    async with calls.opened(request(), Pocket(), governed=True) as call:
        await call.answer(response())
    assert await calls.replayed(response()) is None


async def test_a_missed_answer_is_replayed_as_it_was_judged() -> None:
    calls = Calls()
    async with calls.opened(request(), Pocket(gone=True), governed=True) as call:
        judged = response(text="judged")
        await call.answer(judged)
    replayed = await calls.replayed(Event(response().message, "later"))
    assert replayed is not None
    assert (replayed.message, replayed.event_id) == (judged.message, "later")
    assert await calls.replayed(response()) is None


async def test_the_answer_to_an_unknown_call_never_leaves() -> None:
    assert await Calls().replayed(response(99)) is None


async def test_notifications_and_requests_of_the_server_pass() -> None:
    event = Event(Message.build({"jsonrpc": "2.0", "method": "notifications/x"}))
    assert await Calls().replayed(event) is event
    asked = Event(Message.build({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}))
    assert await Calls().replayed(asked) is asked


async def test_an_answer_that_arrives_while_its_call_waits_is_judged_first() -> None:
    calls = Calls()
    found: list[Event | None] = []

    async def listen() -> None:
        found.append(await calls.replayed(response(text="raw")))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group, calls.opened(request(), Pocket(), governed=True) as call:
            group.start_soon(listen)
            arrived = await call.resumed()
            assert arrived.message is not None
            await call.answer(response(text="judged"))
    assert found[0] is not None
    assert found[0].message == response(text="judged").message


async def test_a_call_that_ends_without_an_answer_lets_none_out() -> None:
    calls = Calls()
    found: list[Event | None] = []

    async def listen() -> None:
        found.append(await calls.replayed(response()))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group, calls.opened(request(), Pocket(), governed=True) as call:
            group.start_soon(listen)
            await call.resumed()
    assert found == [None]


async def test_an_ungoverned_answer_may_come_on_any_stream() -> None:
    calls = Calls()
    async with calls.opened(request(), Pocket(), governed=False) as call:
        await call.put(Event(None, "place"))
    event = response()
    assert await calls.replayed(event) is event


async def test_what_is_kept_is_bounded() -> None:
    calls = Calls()
    for number in range(MISSED + 1):
        async with calls.opened(request(number), Pocket(gone=True), governed=True) as call:
            await call.answer(response(number))
    assert await calls.replayed(response(0)) is None
    assert await calls.replayed(response(MISSED)) is not None
    async with calls.opened(request(), Pocket(gone=True), governed=True) as call:
        await call.answer(response(text="a" * MISSED_BYTES))
    assert await calls.replayed(response()) is None


async def test_the_id_of_an_open_call_cannot_be_used_again() -> None:
    calls = Calls()
    async with calls.opened(request(), Pocket(), governed=True):
        with pytest.raises(MalformedMessageError):
            calls.opened(request(), Pocket(), governed=True)
        calls.opened(Message.build({"jsonrpc": "2.0", "id": 1, "result": {}}), Pocket(), governed=False)
