"""Which call a message belongs to."""

import pytest

from governance.jsontree import Json, JsonObject
from mcp_proxy.link import UpstreamError
from mcp_proxy.message import Message
from mcp_proxy.transports.mailbox import Mailbox
from mcp_proxy.transports.switchboard import SUBSCRIPTION_ID, Switchboard
from tests.mcp_proxy.transports.stage_props import notification, request, tool


def board(*, shared: bool) -> Switchboard:
    return Switchboard(shared=shared, max_bytes=1000, silence=1, owner="s")


def answer(request_id: Json, **result: Json) -> Message:
    return Message.build({"jsonrpc": "2.0", "id": request_id, "result": result})


async def waiting(mailbox: Mailbox) -> list[Message]:
    """What a mailbox holds, which is ended to see it."""
    mailbox.end()
    return [event.message async for event in mailbox if event.message is not None]


async def test_a_single_clients_messages_are_never_rewritten() -> None:
    switch = board(shared=False)
    sent = tool("a", "t", meta={"progressToken": 7})
    call, raw = switch.depart(sent)
    assert raw is sent.raw
    progress, final = notification("notifications/progress", progressToken=7, progress=1), answer("a")
    switch.arrive(progress)
    switch.arrive(final)
    assert [one is two for one, two in zip(await waiting(call.mailbox), [progress, final], strict=True)] == [True] * 2


async def test_ids_that_differ_only_in_type_are_two() -> None:
    switch = board(shared=False)
    number, _ = switch.depart(tool(1, "t"))
    text, _ = switch.depart(tool("1", "t"))
    switch.arrive(answer("1", who="text"))
    assert [one.value["result"] for one in await waiting(text.mailbox)] == [{"who": "text"}]
    assert await waiting(number.mailbox) == []


async def test_of_clients_that_share_a_pipe_each_gets_its_own_ids_back() -> None:
    switch = board(shared=True)
    calls = [switch.depart(tool(0, "t", meta={"progressToken": 0, "other": 1}))[0] for _ in range(3)]
    wire = [Message.parse(switch.depart(tool(0, "t", meta={"progressToken": 0, "other": 1}))[1]) for _ in range(1)]
    assert wire[0].meta == {"progressToken": wire[0].id, "other": 1}
    assert len({call.wire_id for call in calls} | {wire[0].id}) == 4
    for call in reversed(calls):
        switch.arrive(notification("notifications/progress", progressToken=call.wire_token, progress=1))
        switch.arrive(answer(call.wire_id, was=call.wire_id))
    for call in calls:
        first, last = await waiting(call.mailbox)
        assert first.params["progressToken"] == 0
        assert (last.id, last.value["result"]) == (0, {"was": call.wire_id})
        assert Message.parse_upstream(last.raw).id == 0


async def test_a_progress_token_is_only_invented_for_who_asked_for_one() -> None:
    switch = board(shared=True)
    _, raw = switch.depart(tool("x", "t"))
    assert Message.parse(raw).params == {"name": "t", "arguments": {}}


async def test_a_response_or_progress_to_nobody_is_dropped() -> None:
    switch = board(shared=False)
    call, _ = switch.depart(tool(1, "t"))
    switch.arrive(answer(2))
    switch.arrive(notification("notifications/progress", progressToken=9, progress=1))
    switch.arrive(Message.parse_upstream(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}'))
    assert await waiting(call.mailbox) == []
    assert await waiting(switch.session) == []


async def test_a_message_without_a_link_goes_to_the_one_open_call() -> None:
    switch = board(shared=False)
    call, _ = switch.depart(tool(1, "t"))
    switch.arrive(notification("notifications/message", level="info", data="x"))
    assert len(await waiting(call.mailbox)) == 1


async def test_with_several_open_calls_it_goes_to_the_session() -> None:
    switch = board(shared=False)
    calls = [switch.depart(tool(number, "t"))[0] for number in range(2)]
    switch.is_heard = True
    switch.arrive(notification("notifications/message", level="info", data="x"))
    switch.arrive(request("s1", "sampling/createMessage"))
    assert [one.method for one in await waiting(switch.session)] == ["notifications/message", "sampling/createMessage"]
    assert [await waiting(call.mailbox) for call in calls] == [[], []]


async def test_a_request_of_the_server_finds_a_reader_where_nobody_hears_the_session() -> None:
    switch = board(shared=False)
    calls = [switch.depart(tool(number, "t"))[0] for number in range(2)]
    switch.arrive(request("s1", "roots/list"))
    assert [len(await waiting(call.mailbox)) for call in calls] == [0, 1]


async def test_a_server_may_not_ask_the_clients_that_share_it() -> None:
    switch = board(shared=True)
    call, _ = switch.depart(tool(1, "t"))
    told = switch.arrive(request("s1", "sampling/createMessage"))
    assert told is not None
    assert told["id"] == "s1"
    assert await waiting(call.mailbox) == []


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_subscription_is_found_by_its_id_even_where_the_server_made_it_text(as_text: bool) -> None:
    switch = board(shared=True)
    call, _ = switch.depart(request("mine", "subscriptions/listen"))
    key: Json = str(call.wire_id) if as_text else call.wire_id
    meta: JsonObject = {SUBSCRIPTION_ID: key}
    switch.arrive(notification("notifications/tools/list_changed", _meta=meta))
    switch.arrive(notification("notifications/cancelled", requestId=key))
    changed, cancelled = await waiting(call.mailbox)
    assert changed.meta == {SUBSCRIPTION_ID: "mine"}
    assert cancelled.params == {"requestId": "mine"}
    assert switch.open_calls == 0


async def test_a_server_that_cancels_its_own_request_does_not_end_a_call_with_the_same_id() -> None:
    switch = board(shared=False)
    call, _ = switch.depart(tool(1, "t"))
    switch.arrive(notification("notifications/cancelled", requestId=1))
    assert switch.open_calls == 1
    assert [one.method for one in await waiting(call.mailbox)] == ["notifications/cancelled"]


async def test_losing_the_pipe_ends_every_call_with_the_reason() -> None:
    switch = board(shared=False)
    call, _ = switch.depart(tool(1, "t"))
    switch.lose(UpstreamError("gone"))
    with pytest.raises(UpstreamError, match="gone"):
        await anext(call.mailbox)


async def test_only_requests_depart() -> None:
    with pytest.raises(UpstreamError, match="only a request"):
        board(shared=False).depart(notification("x"))
