"""The era of a server is found by what it says, whatever its errors are numbered."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from mcp_proxy.bridge.probe import is_modern_answer, link_is_modern
from mcp_proxy.bridge.replies import OneReply, failure, result
from mcp_proxy.link import NO_HEADERS, Event, Reply, UpstreamError, UpstreamTimeoutError, UpstreamUnreachableError
from mcp_proxy.message import Message
from mcp_proxy.transports.mailbox import Mailbox
from mcp_proxy.transports.piped import ACCEPTED

MODERN = "2026-07-28"


class Silent:
    """A reply that never comes."""

    status = 200
    headers: Mapping[str, str] = NO_HEADERS

    def __init__(self) -> None:
        self.events: AsyncIterator[Event] = Mailbox(max_bytes=1)

    async def aclose(self) -> None:
        """Nothing to close."""


class Scripted:
    """A link whose server answers each method as a test wants it."""

    stateful = True

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        self.asked.append(message.method)
        answer = self.answers.get(message.method.rpartition("/")[2])
        if isinstance(answer, Exception):
            raise answer
        return OneReply(answer) if answer is not None else Silent()

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        return ACCEPTED

    async def close(self) -> None:
        """Nothing to close."""


def unsupported(*versions: str) -> Message:
    return failure(1, -32022, "no", {"supported": list(versions), "requested": "x"})


@pytest.mark.parametrize(
    ("answer", "modern"),
    [
        (result(1, {"supportedVersions": [MODERN]}), True),
        (result(1, {"supportedVersions": ["2025-11-25"]}), False),
        (result(1, {"supportedVersions": MODERN}), False),
        (result(1, {}), False),
        (unsupported(MODERN), True),
        (unsupported("2025-11-25"), False),
        (failure(1, -32022, "no"), False),
        (failure(1, -32020, "headers"), True),
        (failure(1, -32021, "capability"), True),
        (failure(1, -32601, "no such method"), False),
        (failure(1, -32602, "bad"), False),
        (failure(1, 0, "what?"), False),
    ],
)
def test_an_answer_shows_the_era(answer: Message, modern: bool) -> None:
    assert is_modern_answer(answer) is modern


async def test_what_is_no_message_is_no_modern_answer() -> None:
    assert not await link_is_modern(Scripted(discover=UpstreamError("not JSON")), 1, silent=False)


@pytest.mark.parametrize("error", [UpstreamUnreachableError("gone"), UpstreamTimeoutError("slow")])
async def test_a_server_that_cannot_be_reached_has_no_era(error: UpstreamError) -> None:
    with pytest.raises(type(error)):
        await link_is_modern(Scripted(discover=error), 1, silent=True)


@pytest.mark.parametrize(
    ("answer", "modern"), [(result(1, {"protocolVersion": "2025-11-25"}), False), (unsupported(MODERN), True)]
)
async def test_a_pipe_that_stays_silent_is_asked_by_a_handshake(answer: Message, modern: bool) -> None:
    link = Scripted(initialize=answer)
    assert await link_is_modern(link, 0.01, silent=True) is modern
    assert link.asked == ["server/discover", "initialize"]


async def test_silence_over_http_is_no_answer_at_all() -> None:
    with pytest.raises(UpstreamTimeoutError):
        await link_is_modern(Scripted(), 0.01, silent=False)
