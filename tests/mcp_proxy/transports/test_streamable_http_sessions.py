"""The book of client sessions, without any HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import pytest

from governance.exchange import Principal
from mcp_proxy.link import NO_HEADERS, Reply
from mcp_proxy.message import Message
from mcp_proxy.transports.streamable_http_sessions import Session, Sessions
from pipeline.border import BadRequestError
from tests.conftest import ManualClock


@dataclass(eq=False)
class SlowLink:
    """An upstream session that takes its time to end."""

    may_end: anyio.Event
    closed: bool = False
    stateful: bool = True

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        raise NotImplementedError

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True
        await self.may_end.wait()


async def test_a_session_that_comes_into_use_while_others_are_ended_is_kept(clock: ManualClock) -> None:
    sessions = Sessions(clock, idle=10)
    links = [SlowLink(anyio.Event()) for _ in range(3)]
    opened = [Session("up", "ann", link) for link in links]
    for one in opened:
        sessions.admit(one)
    clock.advance(11)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(sessions.expire)
            await anyio.wait_all_tasks_blocked()
            assert [link.closed for link in links] == [True, False, False]
            sessions.find(opened[1].id, Principal("ann"), "up")
            opened[2].busy = 1
            links[0].may_end.set()
    assert [link.closed for link in links] == [True, False, False]
    assert len(sessions) == 2


@pytest.mark.parametrize(
    "other",
    [
        Principal("ben", user="ann"),
        Principal("key", user="ben"),
        Principal("key"),
        Principal("key", user="ann", rights="more"),
    ],
)
async def test_a_session_is_unknown_to_any_other_key_and_person(clock: ManualClock, other: Principal) -> None:
    sessions = Sessions(clock)
    session = Session("up", "key", SlowLink(anyio.Event()), user="ann")
    sessions.admit(session)
    assert sessions.find(session.id, Principal("key", user="ann"), "up") is session
    with pytest.raises(BadRequestError, match="no such session"):
        sessions.find(session.id, other, "up")
