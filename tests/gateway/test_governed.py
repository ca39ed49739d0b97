"""The gateway with the real guard behind it: what is redacted, refused, held, cut and written down."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import anthropic
import anyio
import httpx
import openai
import pytest

from gateway.app import open_gateway
from governance.clock import SystemClock
from governance.identity.keys import Grant, mint
from governance.jsontree import Json
from sessions.killswitch import Scope
from tests.gateway.conftest import hosted
from tests.gateway.house import PROVIDER_KEY, serving
from tests.gateway.provider import Provider, Received, Wire
from tests.gateway.samples import CHAT_ANSWER, MESSAGE_ANSWER, chat_chunk, chat_stream, message_stream
from tests.pipeline.world import World, open_world

CLAUDE = "claude-sonnet-5"
POLICY: dict[str, Json] = {
    "version": 1,
    "default": "allow",
    "rules": [
        {"id": "no-old-models", "match": {"model": "gpt-3*"}, "decide": "deny", "reason": "use a newer one"},
        {"id": "ask-for-o1", "match": {"model": "gpt-o1"}, "decide": "hold", "reason": "it is expensive"},
    ],
}


@dataclass
class Governed:
    """A gateway with everything behind it."""

    world: World
    url: str
    key: str

    def openai(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0)

    def anthropic(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(base_url=self.url, api_key=self.key, max_retries=0)

    async def one(self, kind: str) -> dict[str, Json]:
        (event,) = await self.world.events(kind)
        return event


@contextlib.asynccontextmanager
async def open_governed(url: str, database: str, folder: Path) -> AsyncGenerator[Governed]:
    providers: dict[str, Json] = {
        "open": {"wire": "openai-chat", "base_url": url, "api_key": PROVIDER_KEY, "models": ["gpt-*"]},
        "claude": {"wire": "anthropic-messages", "base_url": url, "api_key": PROVIDER_KEY, "auth": "x-api-key"},
    }
    waits: dict[str, Json] = {"wait_seconds": 0}
    world = open_world(database, folder, SystemClock(), POLICY, providers=providers, approvals=waits)
    async with world as opened, open_gateway(opened.runtime) as app, serving(app) as address:
        minted = mint(Grant(agent="tester", team="red"), SystemClock().now())
        await opened.runtime.keys.add(minted.key, actor="test")
        await opened.runtime.identity.refresh()
        yield Governed(opened, address, minted.token)


@pytest.fixture
async def governed(provider: Provider, sqlite_url: str, tmp_path: Path) -> AsyncGenerator[Governed]:
    async with hosted(open_governed(provider.url, sqlite_url, tmp_path)) as governed:
        yield governed


async def test_a_call_is_written_down_before_and_after(governed: Governed, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    async with governed.openai() as client:
        await client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], extra_headers={"x-wicket-session": "run-7"}
        )
    admitted = await governed.one("exchange.admitted")
    completed = await governed.one("exchange.completed")
    assert (admitted["model"], admitted["provider"], admitted["team"]) == ("gpt-4o", "open", "red")
    assert admitted["session_source"] == "x-wicket-session=run-7"
    assert (completed["input_tokens"], completed["output_tokens"], completed["estimated"]) == (5, 2, False)
    assert completed["exchange_id"] == admitted["exchange_id"]


async def test_a_social_security_number_never_reaches_the_provider(governed: Governed, provider: Provider) -> None:
    provider.answers(MESSAGE_ANSWER)
    async with governed.anthropic() as client:
        await client.messages.create(
            model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": "my ssn is 536-22-8726"}]
        )
    assert b"536-22-8726" not in provider.last.body
    assert b"my ssn is [" in provider.last.body
    assert (await governed.one("exchange.admitted"))["pii_entities"] == ["pii.ssn"]


async def test_a_number_cut_across_chunks_is_redacted_in_both_wires(governed: Governed, provider: Provider) -> None:
    provider.streams(*chat_stream("the ssn is ", "536-", "22", "-8726", ", done"))
    async with governed.openai() as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=[], stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert "8726" not in said
    assert said.startswith("the ssn is [")
    assert said.endswith("], done")
    provider.streams(*message_stream("the ssn is ", "536-", "22", "-8726"))
    async with (
        governed.anthropic() as claude,
        claude.messages.stream(model=CLAUDE, max_tokens=9, messages=[]) as events,
    ):
        final = await events.get_final_message()
    (block,) = final.content
    assert block.type == "text"
    assert "8726" not in block.text
    assert block.text.startswith("the ssn is [")


async def test_what_is_found_in_an_id_of_a_stream_refuses_it_by_its_rule(
    governed: Governed, provider: Provider
) -> None:
    chunk = chat_chunk({"content": "words"}).replace(b"chatcmpl-1", b"ssn 536-22-8726")
    provider.streams(chunk, *chat_stream())
    async with governed.openai() as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=[], stream=True)
        with pytest.raises(openai.APIError, match=r"refused by rule `pii.ssn`: found `pii.ssn` in a name"):
            _ = [chunk async for chunk in stream]
    ended = await governed.one("exchange.withheld")
    assert (ended["status"], ended["decided_by"], ended["rule"]) == ("refused", "detect", "pii.ssn")
    assert ended["classification"] == ["pii.ssn"]


async def test_dangerous_arguments_are_found_in_a_stream_too(governed: Governed, provider: Provider) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "sh", "arguments": '{"c":"rm -rf'}}
    rest = {"index": 0, "function": {"arguments": ' /"}'}}
    provider.streams(
        chat_chunk({"role": "assistant", "tool_calls": [call]}),
        chat_chunk({"tool_calls": [rest]}),
        *chat_stream()[-3:],
    )
    async with governed.openai() as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=[], stream=True)
        said = [chunk.choices[0].delta.tool_calls async for chunk in stream if chunk.choices]
    assert "".join(call.function.arguments or "" for calls in said for call in calls or [] if call.function) == (
        '{"c":"rm -rf /"}'
    )
    completed = await governed.one("exchange.completed")
    assert "argument." in repr(completed)


async def test_a_denied_model_is_refused_with_the_rule(governed: Governed, provider: Provider) -> None:
    async with governed.openai() as client:
        with pytest.raises(openai.PermissionDeniedError, match=r"no-old-models.*use a newer one"):
            await client.chat.completions.create(model="gpt-3.5-turbo", messages=[])
    assert provider.received == []
    assert (await governed.one("exchange.refused"))["rule"] == "no-old-models"


async def test_a_held_call_names_its_ticket_and_runs_once_it_is_approved(
    governed: Governed, provider: Provider
) -> None:
    provider.answers(CHAT_ANSWER)
    desk = governed.world.runtime.desk
    async with governed.openai() as client:
        with pytest.raises(openai.ConflictError) as caught:
            await client.chat.completions.create(model="gpt-o1", messages=[])
        error = caught.value.response.json()["error"]["wicket"]
        assert error["link"].startswith("http://console/")
        assert provider.received == []
        await desk.approve(error["ticket"], by="somebody")
        await client.chat.completions.create(model="gpt-o1", messages=[])
    assert len(provider.received) == 1


async def test_a_killed_session_ends_its_stream_with_an_error(governed: Governed, provider: Provider) -> None:
    gone = asyncio.Event()

    async def play(request: Received, wire: Wire) -> None:
        await wire.begin()
        await wire.chunk(b"".join(message_stream("and so ", "on ")[:4]))
        await wire.wait_until_left()
        gone.set()

    provider.script = play
    headers = {"x-wicket-session": "run-9"}
    with anyio.fail_after(10):
        async with governed.anthropic() as client:
            stream = await client.messages.create(
                model=CLAUDE, max_tokens=9, messages=[], stream=True, extra_headers=headers
            )
            await anext(stream)
            session = (await governed.one("exchange.admitted"))["session_id"]
            await governed.world.runtime.kills.kill(Scope.SESSION, str(session), reason="enough", actor="test")
            with pytest.raises(anthropic.APIStatusError, match="enough"):
                _ = [event async for event in stream]
            await gone.wait()
            with pytest.raises(anthropic.PermissionDeniedError, match="enough"):
                await client.messages.create(model=CLAUDE, max_tokens=9, messages=[], extra_headers=headers)
    event = (await governed.world.events("exchange.withheld"))[0]
    assert (event["status"], event["rule"]) == ("killed", "kill.session")


async def test_a_client_that_leaves_is_recorded_with_what_it_used(governed: Governed, provider: Provider) -> None:
    async def play(request: Received, wire: Wire) -> None:
        await wire.begin()
        await wire.chunk(b"".join(message_stream("and so on ")[:4]))
        await wire.wait_until_left()
        provider.left.set()

    provider.script = play
    headers = {"x-api-key": governed.key}
    body: dict[str, Json] = {"model": CLAUDE, "max_tokens": 9, "messages": [], "stream": True}
    with anyio.fail_after(10):
        async with (
            httpx.AsyncClient(base_url=governed.url, headers=headers) as client,
            client.stream("POST", "/v1/messages", json=body) as answer,
        ):
            await anext(answer.aiter_raw())
        await provider.left.wait()
        while not (events := await governed.world.events("exchange.completed")):
            await anyio.lowlevel.checkpoint()
    assert (events[0]["status"], events[0]["estimated"], events[0]["input_tokens"]) == ("cancelled", True, 105)
