"""The era of a server is found by what it says, whatever its errors are numbered."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import pytest

from mcp_proxy.bridge.probe import Found, is_modern_answer, link_is_modern, pipe_is_modern
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


class Slow(Scripted):
    """A link whose server, of both eras, answers in its order and only once the second question is there."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(**answers)
        self.first = Mailbox(max_bytes=10_000)

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        reply = await super().send(message, headers)
        if message.method == "initialize":
            self.first.put(result("wicket-discover", {"supportedVersions": [MODERN]}))
        elif isinstance(reply, Silent):
            reply.events = self.first
        return reply


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
    assert not await link_is_modern(Scripted(discover=UpstreamError("not JSON")), 1)
    assert await pipe_is_modern(Scripted(discover=UpstreamError("not JSON")), 1) == Found(modern=False)


@pytest.mark.parametrize("error", [UpstreamUnreachableError("gone"), UpstreamTimeoutError("slow")])
async def test_a_server_that_cannot_be_reached_has_no_era(error: UpstreamError) -> None:
    for answers in ({"discover": error}, {"initialize": error}):
        with pytest.raises(type(error)):
            await pipe_is_modern(Scripted(**answers), 0.01)


@pytest.mark.parametrize(
    ("answer", "modern"), [(result(1, {"protocolVersion": "2025-11-25"}), False), (unsupported(MODERN), True)]
)
async def test_a_pipe_that_stays_silent_is_asked_by_a_handshake(
    answer: Message, modern: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_proxy.bridge.probe.GRACE_SECONDS", 0.01)
    link = Scripted(initialize=answer)
    assert await pipe_is_modern(link, 0.01) == Found(modern, fresh=False)
    assert link.asked == ["server/discover", "initialize"]


@pytest.mark.parametrize("handshake", [result(1, {"protocolVersion": "2025-11-25"}), failure(1, -32601, "no"), None])
async def test_a_pipe_that_is_only_slow_is_heard_on_the_first_question(handshake: Message | None) -> None:
    link = Slow(initialize=handshake)
    with anyio.fail_after(30):
        assert await pipe_is_modern(link, 0.01) == Found(modern=True, fresh=False)
    assert link.asked == ["server/discover", "initialize"]


async def test_silence_over_http_is_no_answer_at_all() -> None:
    with pytest.raises(UpstreamTimeoutError):
        await link_is_modern(Scripted(), 0.01)
