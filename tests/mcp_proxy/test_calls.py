"""Answers that come on another stream than the one their call was made on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
import pytest

from mcp_proxy.calls import Calls
from mcp_proxy.link import Event
from mcp_proxy.message import MalformedMessageError, Message
from mcp_proxy.missed import LARGEST, REMEMBERED, Kept


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


async def missed(calls: Calls, number: int = 1, text: str = "judged") -> int:
    """A call whose answer the client missed; returns the bytes of the answer."""
    async with calls.opened(request(number), Pocket(gone=True), governed=True) as call:
        await call.answer(response(number, text))
    message = response(number, text).message
    assert message is not None
    return len(message.raw)


async def told(calls: Calls, number: int = 1) -> str:
    """What a client gets that resumes its stream: the text of the answer, `lost`, or nothing."""
    event = await calls.replayed(Event(response(number).message, "later"))
    if event is None or event.message is None:
        return ""
    assert (event.event_id, event.message.id) == ("later", number)
    error = event.message.value.get("error")
    return "lost" if isinstance(error, dict) and error["data"] == {"wicket": "missed"} else "judged"


async def test_a_client_that_resumes_for_an_answer_that_was_too_large_to_keep_is_told() -> None:
    calls = Calls()
    await missed(calls, text="a" * LARGEST)
    assert [await told(calls), await told(calls)] == ["lost", ""]


async def test_what_one_key_missed_is_bounded_over_all_its_sessions_and_the_oldest_goes_first() -> None:
    size = await missed(Calls())
    kept = Kept(of_key=2 * size, most=100 * size)
    one, two, other = (Calls(missed=kept.shelf(key)) for key in ("a", "a", "b"))
    await missed(other)
    await missed(one, 1)
    await missed(two, 1)
    await missed(one, 2)
    assert kept.size == 3 * size
    assert [await told(one, 1), await told(one, 2), await told(two, 1), await told(other)] == ["lost"] + ["judged"] * 3
    assert kept.size == 0


async def test_what_all_clients_missed_is_bounded() -> None:
    size = await missed(Calls())
    kept = Kept(of_key=size, most=2 * size)
    clients = [Calls(missed=kept.shelf(str(number))) for number in range(3)]
    for one in clients:
        await missed(one)
    assert kept.size == 2 * size
    assert [await told(one) for one in clients] == ["lost", "judged", "judged"]


async def test_what_is_remembered_of_one_session_is_bounded_in_number_too() -> None:
    calls = Calls()
    for number in range(REMEMBERED + 1):
        await missed(calls, number)
    assert [await told(calls, number) for number in (0, 1, REMEMBERED)] == ["", "judged", "judged"]


async def test_a_session_that_ends_gives_its_bytes_back() -> None:
    kept = Kept()
    calls = Calls(missed=kept.shelf("a"))
    await missed(calls)
    assert kept.size > 0
    calls.close()
    assert kept.size == 0


async def test_an_id_that_is_used_again_forgets_the_answer_that_was_missed() -> None:
    kept = Kept()
    calls = Calls(missed=kept.shelf("a"))
    await missed(calls)
    async with calls.opened(request(), Pocket(), governed=True) as call:
        await call.answer(response())
    assert (kept.size, await told(calls)) == (0, "")


async def test_the_id_of_an_open_call_cannot_be_used_again() -> None:
    calls = Calls()
    async with calls.opened(request(), Pocket(), governed=True):
        with pytest.raises(MalformedMessageError):
            calls.opened(request(), Pocket(), governed=True)
        calls.opened(Message.build({"jsonrpc": "2.0", "id": 1, "result": {}}), Pocket(), governed=False)
