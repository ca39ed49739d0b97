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


@pytest.mark.parametrize("other", [Principal("ben", user="ann"), Principal("key", user="ben"), Principal("key")])
async def test_a_session_is_unknown_to_any_other_key_and_person(clock: ManualClock, other: Principal) -> None:
    sessions = Sessions(clock)
    session = Session("up", "key", SlowLink(anyio.Event()), user="ann")
    sessions.admit(session)
    assert sessions.find(session.id, Principal("key", user="ann"), "up") is session
    with pytest.raises(BadRequestError, match="no such session"):
        sessions.find(session.id, other, "up")
