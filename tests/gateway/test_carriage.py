"""On the way to the provider and back: streams, clients that leave, providers that fail."""

import asyncio

import anthropic
import anyio
import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionStreamOptionsParam

from tests.gateway.asking import BEARER, CHAT, CLAUDE, chat_client, claude_client, post, said
from tests.gateway.house import MASK, PROVIDER_KEY, House, config_for, running_gateway
from tests.gateway.provider import Provider, Received, Wire
from tests.gateway.samples import CHAT_ANSWER, chat_stream, message_stream


async def test_a_chat_stream_reaches_the_client_and_its_usage_stays_here(house: House, provider: Provider) -> None:
    provider.streams(*chat_stream("hel", "lo"))
    body = b'{"model":"gpt-4o","stream": true,"messages":[] }\n'
    answer = await post(house, body)
    assert (
        provider.last.body == b'{"model":"gpt-4o","stream": true,"messages":[],"stream_options":{"include_usage":true}}'
    )
    assert answer.content == b"".join(chat_stream("hel", "lo", usage=False))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (house.outcomes[0].input_tokens, house.outcomes[0].output_tokens) == (5, 2)


@pytest.mark.parametrize("asks", [True, False])
async def test_the_official_client_gets_usage_only_if_it_asks(house: House, provider: Provider, asks: bool) -> None:
    provider.streams(*chat_stream("hel", "lo"))
    options: ChatCompletionStreamOptionsParam = {"include_usage": True}
    async with chat_client(house) as client:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=[], stream=True, stream_options=options if asks else openai.omit
        )
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello"
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == ([7] if asks else [])


async def test_a_message_stream_reaches_the_client_byte_for_byte(house: House, provider: Provider) -> None:
    provider.streams(*message_stream("hel", "lo"))
    body = b'{"model":"claude-sonnet-5","stream":true,"max_tokens":5,"messages":[]}'
    answer = await post(house, body, "/v1/messages")
    assert provider.last.body == body
    assert answer.content == b"".join(message_stream("hel", "lo"))


async def test_the_official_client_puts_a_redacted_stream_together(house: House, provider: Provider) -> None:
    provider.streams(*message_stream("it is 123-4", "5-67", "89, no"))
    async with (
        claude_client(house) as client,
        client.messages.stream(model=CLAUDE, max_tokens=10, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        final = await stream.get_final_message()
    assert said(final) == f"it is {MASK}, no"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (5, 9)


async def test_each_chunk_leaves_as_soon_as_it_comes(house: House, provider: Provider) -> None:
    events = chat_stream("one ", "two ", usage=False)
    seen = [asyncio.Event() for _ in events]

    async def play(request: Received, wire: Wire) -> None:
        await wire.begin()
        for event, arrived in zip(events, seen, strict=True):
            await wire.chunk(event)
            if event is not events[-1]:
                await arrived.wait()
        await wire.end()

    provider.script = play
    body = b'{"model":"gpt-4o","stream":true,"messages":[]}'
    with anyio.fail_after(10):
        async with (
            httpx.AsyncClient(base_url=house.url) as client,
            client.stream("POST", "/v1/chat/completions", content=body, headers=BEARER) as answer,
        ):
            got = b""
            async for chunk in answer.aiter_raw():
                got += chunk
                seen[got.count(b"\n\n") - 1].set()
    assert got == b"".join(events)


async def test_an_event_of_megabytes_is_judged_and_leaves_like_any_other(house: House, provider: Provider) -> None:
    events = chat_stream("words " * 100_000 + "123-45-6789", "and more", usage=False)
    provider.streams(*events)
    body = b'{"model":"gpt-4o","stream":true,"messages":[]}'
    with anyio.fail_after(20):
        async with httpx.AsyncClient(base_url=house.url) as client:
            answer = await client.post("/v1/chat/completions", content=body, headers=BEARER)
    assert answer.content.count(b"words ") == 100_000
    assert b"123-45-6789" not in answer.content


async def test_the_last_bytes_leave_only_when_the_outcome_is_durable(house: House, provider: Provider) -> None:
    provider.streams(*chat_stream("hi"))
    durable = asyncio.Event()
    house.before_settling = durable.wait
    body = b'{"model":"gpt-4o","stream":true,"messages":[]}'
    with anyio.fail_after(10):
        async with (
            httpx.AsyncClient(base_url=house.url) as client,
            client.stream("POST", "/v1/chat/completions", content=body, headers=BEARER) as answer,
        ):
            await house.settled.wait()
            got = b""
            async for chunk in answer.aiter_raw():
                got += chunk
                if b'"stop"' in got and not durable.is_set():
                    assert b"[DONE]" not in got
                    durable.set()
    assert got.endswith(b"data: [DONE]\n\n")


def stalls(provider: Provider, *events: bytes) -> asyncio.Event:
    """Stream some events, then wait for the gateway to leave. The event says that they were sent."""
    sent = asyncio.Event()

    async def play(request: Received, wire: Wire) -> None:
        if events:
            await wire.begin()
        for event in events:
            await wire.chunk(event)
        sent.set()
        await wire.wait_until_left()
        provider.left.set()

    provider.script = play
    return sent


async def test_a_client_that_leaves_a_stream_closes_the_upstream_and_is_recorded(
    house: House, provider: Provider
) -> None:
    stalls(provider, *chat_stream("x" * 40)[:2])
    body = b'{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"' + b"y" * 400 + b'"}]}'
    with anyio.fail_after(10):
        async with (
            httpx.AsyncClient(base_url=house.url) as client,
            client.stream("POST", "/v1/chat/completions", content=body, headers=BEARER) as answer,
        ):
            async for chunk in answer.aiter_raw():
                if b"xxx" in chunk:
                    break
        await provider.left.wait()
        await house.settled.wait()
    (outcome,) = house.outcomes
    assert (outcome.status, outcome.estimated, outcome.model) == ("cancelled", True, "gpt-4o-mini-2024")
    assert outcome.input_tokens > 100
    assert outcome.output_tokens == 5


async def test_a_client_that_leaves_before_the_answer_closes_the_upstream(house: House, provider: Provider) -> None:
    sent = stalls(provider)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(post, house, CHAT)
            await sent.wait()
            tasks.cancel_scope.cancel()
        await provider.left.wait()
        await house.settled.wait()
    assert (house.outcomes[0].status, house.outcomes[0].estimated) == ("cancelled", True)


async def test_connections_to_the_provider_are_used_again(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    for _ in range(3):
        await post(house, CHAT)
    assert provider.connections == 1


async def test_a_rate_limit_of_the_provider_passes_as_it_is(house: House, provider: Provider) -> None:
    error = b'{"error":{"message":"slow down","type":"tokens","param":null,"code":"rate_limit_exceeded"}}'
    provider.answers(error, 429, retry_after="7")
    async with chat_client(house) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[])
    assert caught.value.response.content == error
    assert caught.value.response.headers["retry-after"] == "7"
    outcome = house.outcomes[0]
    assert (outcome.status, outcome.upstream_status, outcome.input_tokens) == ("error", 429, 0)


@pytest.mark.parametrize(
    ("status", "told", "body"),
    [(200, 502, b"<html>"), (302, 502, b""), (503, 503, b"<h1>secret</h1>"), (500, 500, b"")],
)
async def test_a_page_instead_of_an_answer_does_not_pass(
    house: House, provider: Provider, status: int, told: int, body: bytes
) -> None:
    provider.answers(body, status, content_type="text/html", location="http://169.254.169.254/")
    answer = await post(house, CHAT)
    assert answer.status_code == told
    assert "secret" not in answer.text
    assert "location" not in answer.headers
    assert answer.json()["error"]["code"] in ("provider_malformed", "provider_error")
    assert house.outcomes[0].status == "error"


async def test_a_refused_provider_key_is_not_the_clients_fault(house: House, provider: Provider) -> None:
    provider.answers(b'{"error":{"message":"Incorrect API key provided: %s"}}' % PROVIDER_KEY.encode(), 401)
    async with claude_client(house) as client:
        with pytest.raises(anthropic.InternalServerError) as caught:
            await client.messages.create(model=CLAUDE, max_tokens=10, messages=[])
    assert "the gateway's own key" in str(caught.value)
    assert PROVIDER_KEY not in caught.value.response.text


async def test_the_providers_key_is_taken_out_of_its_answers(house: House, provider: Provider) -> None:
    provider.answers(b'{"error":{"message":"key %s is over quota"}}' % PROVIDER_KEY.encode(), 403)
    answer = await post(house, CHAT)
    assert answer.status_code == 403
    assert answer.json()["error"]["message"] == "key [provider key] is over quota"


@pytest.mark.parametrize("spell", ["\\u{:04x}", "\\u{:04X}"])
@pytest.mark.parametrize("escaped", ["-", "s0", PROVIDER_KEY])
async def test_the_providers_key_is_taken_out_however_json_escapes_it(
    house: House, provider: Provider, escaped: str, spell: str
) -> None:
    key = "".join(spell.format(ord(one)) if one in escaped else one for one in PROVIDER_KEY)
    provider.answers(b'{"error":{"message":"key %s is over quota"}}' % key.encode(), 403)
    answer = await post(house, CHAT)
    assert answer.json()["error"]["message"] == "key [provider key] is over quota"


async def test_no_request_is_sent_into_a_connection_that_a_server_may_be_closing(
    house: House, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many a server closes a connection that was idle for 5 seconds; what is sent into that moment is lost."""
    now = [1000.0]
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: now[0])
    provider.answers(CHAT_ANSWER)
    for seconds, connections in ((0, 1), (3.5, 1), (4.5, 2), (1, 2)):
        now[0] += seconds
        assert (await post(house, CHAT)).status_code == 200
        assert provider.connections == connections


async def test_a_provider_that_cannot_be_reached_is_a_502(house: House, provider: Provider) -> None:
    async def play(request: Received, wire: Wire) -> None:
        await wire.cut()

    provider.script = play
    async with chat_client(house) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[])
    assert caught.value.code == "provider_unreachable"
    assert house.outcomes[0].error == "provider_unreachable"


async def test_a_stream_that_is_cut_ends_with_an_error_the_client_raises(house: House, provider: Provider) -> None:
    async def play(request: Received, wire: Wire) -> None:
        await wire.begin()
        await wire.chunk(b"".join(message_stream("half an answer")[:4]))
        await wire.cut()

    provider.script = play
    async with claude_client(house) as client:
        stream = await client.messages.create(model=CLAUDE, max_tokens=10, messages=[], stream=True)
        with pytest.raises(anthropic.APIStatusError, match="could not be reached"):
            _ = [event async for event in stream]
    assert (house.outcomes[0].status, house.outcomes[0].estimated) == ("error", True)
    assert house.outcomes[0].input_tokens == 105


async def test_a_silent_provider_is_given_up(provider: Provider) -> None:
    stalls(provider)
    async with running_gateway(House(config_for(provider.url, upstream_seconds=0.05))) as house:
        answer = await post(house, CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "provider_timeout")
