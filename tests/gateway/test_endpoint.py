"""Whole exchanges through a real gateway, made with the official clients."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import anthropic
import anyio
import anyio.to_thread
import httpx
import openai
import orjson
import pytest
from openai.types.chat import ChatCompletionStreamOptionsParam

from governance.stage import RefusedError
from governance.verdict import Decision, Verdict
from tests.gateway.house import KEY, MASK, PROVIDER_KEY, House, config_for, running_gateway
from tests.gateway.provider import Provider, Received, Wire
from tests.gateway.samples import CHAT_ANSWER, MESSAGE_ANSWER, chat_stream, message_stream

BEARER = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
ODD = (
    b' {"zeta" : 1e2, "model":"gpt-4o",\n "unknown_member":{"b":1.10,"a":[ ]},"messages":[{"content":'
    b'"caf\\u00e9 \xc3\xa9","role":"user","x":null}],"seed":9007199254740993 } '
)
CLAUDE = "claude-sonnet-5"


def chat_client(house: House) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0)


def said(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def claude_client(house: House) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=house.url, api_key=KEY, max_retries=0)


async def post(house: House, body: bytes, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=house.url) as client:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post(path, content=body, headers=BEARER | more)


# -- what passes ----------------------------------------------------------------------------------------------------


async def test_chat_answers_reach_the_client(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    async with chat_client(house) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "hello"
    (outcome,) = house.outcomes
    assert (outcome.status, outcome.model) == ("ok", "gpt-4o-mini-2024")
    assert (outcome.input_tokens, outcome.output_tokens, outcome.cache_read_tokens) == (5, 2, 3)
    assert (outcome.cost_usd, outcome.estimated, outcome.upstream_status) == ("0.005", False, 200)


async def test_messages_reach_the_client(house: House, provider: Provider) -> None:
    provider.answers(MESSAGE_ANSWER)
    async with claude_client(house) as client:
        answer = await client.messages.create(model=CLAUDE, max_tokens=10, messages=[{"role": "user", "content": "hi"}])
    assert said(answer) == "hello"
    (outcome,) = house.outcomes
    assert (outcome.input_tokens, outcome.cache_read_tokens, outcome.cache_write_tokens) == (115, 100, 10)


async def test_a_synchronous_client_is_served_too(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)

    def ask() -> str | None:
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0) as client:
            answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        return answer.choices[0].message.content

    assert await anyio.to_thread.run_sync(ask) == "hello"


async def test_bodies_pass_byte_for_byte_both_ways(house: House, provider: Provider) -> None:
    odd_answer = b' {"usage":{"prompt_tokens":1 },"new":[1.0, 2e0],"choices":[] , "caf\xc3\xa9":"\\u00e9"}\n'
    provider.answers(odd_answer)
    answer = await post(house, ODD)
    assert provider.last.body == ODD
    assert answer.content == odd_answer


async def test_the_provider_sees_its_key_and_nothing_of_the_client(house: House, provider: Provider) -> None:
    provider.answers(
        CHAT_ANSWER,
        set_cookie="a=b",
        x_ratelimit_remaining="7",
        echoed=PROVIDER_KEY,
        connection="keep-alive, x-hop",
        x_hop="1",
    )
    answer = await post(
        house, CHAT, cookie="c=d", x_forwarded_for="1.2.3.4", openai_organization="theirs", x_wicket_session="s",
        x_stainless_lang="python", openai_beta="assistants=v2", user_agent="agent/1",
    )  # fmt: skip
    sent = dict(provider.last.headers)
    assert sent.pop("host").startswith("127.0.0.1:")
    assert sent == {
        "authorization": f"Bearer {PROVIDER_KEY}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(CHAT)),
        "user-agent": "agent/1",
        "x-stainless-lang": "python",
        "openai-beta": "assistants=v2",
    }
    assert PROVIDER_KEY not in repr(answer.headers)
    assert answer.headers["x-ratelimit-remaining"] == "7"
    assert answer.headers["x-wicket-exchange"] == house.exchanges[0].id
    assert not {"set-cookie", "x-hop"} & set(answer.headers)


async def test_the_query_passes_without_the_key(house: House, provider: Provider) -> None:
    provider.answers(MESSAGE_ANSWER)
    body = b'{"model":"claude-sonnet-5","max_tokens":1,"messages":[]}'
    await post(
        house, body, f"/v1/messages?beta=true&key={KEY}&%6bey=x", anthropic_version="2023-06-01", anthropic_beta="a,b"
    )
    assert provider.last.target == "/v1/messages?beta=true"
    assert provider.last.header("x-api-key") == PROVIDER_KEY
    assert provider.last.header("authorization") is None
    assert (provider.last.header("anthropic-version"), provider.last.header("anthropic-beta")) == ("2023-06-01", "a,b")


async def test_tokens_are_counted_without_being_paid_for(house: House, provider: Provider) -> None:
    provider.answers(b'{"input_tokens": 14}')
    async with claude_client(house) as client:
        counted = await client.messages.count_tokens(
            model="claude-sonnet-5", messages=[{"role": "user", "content": "hi"}]
        )
    assert counted.input_tokens == 14
    assert provider.last.target == "/v1/messages/count_tokens"
    assert (house.outcomes[0].input_tokens, house.outcomes[0].estimated) == (0, False)


async def test_a_large_body_passes(house: House, provider: Provider) -> None:
    provider.answers(b'{"choices":[],"x":"' + b"y" * 3_000_000 + b'"}')
    body = b'{"model":"gpt-4o","messages":[],"x":"' + b"z" * 90_000 + b'"}'
    answer = await post(house, body)
    assert provider.last.body == body
    assert len(answer.content) > 3_000_000


async def test_an_answer_that_is_encoded_all_the_same_is_decoded(house: House, provider: Provider) -> None:
    provider.answers(gzip.compress(CHAT_ANSWER), content_encoding="gzip")
    answer = await post(house, CHAT)
    assert answer.content == CHAT_ANSWER
    assert "content-encoding" not in answer.headers


async def test_an_answer_that_unpacks_beyond_the_limit_is_refused(provider: Provider) -> None:
    provider.answers(gzip.compress(b" " * 1_000_000), content_encoding="gzip")
    async with running_gateway(House(config_for(provider.url, response_bytes=10_000))) as house:
        answer = await post(house, CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_answer_too_large")


# -- what a verdict changes -----------------------------------------------------------------------------------------


async def test_a_redacted_request_keeps_everything_else(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    body = CHAT.replace(b"hi", b"my ssn is 123-45-6789").replace(b'"model"', b'"unknown":[1],"model"')
    await post(house, body)
    assert provider.last.body == body.replace(b"123-45-6789", MASK.encode())


async def test_a_redacted_answer_loses_what_repeats_it(house: House, provider: Provider) -> None:
    answer = orjson.loads(CHAT_ANSWER)
    answer["choices"][0]["message"]["content"] = "it is 123-45-6789"
    answer["choices"][0]["logprobs"] = {"content": [{"token": "123-45"}, {"token": "-6789"}]}
    provider.answers(orjson.dumps(answer))
    got = (await post(house, CHAT)).json()
    assert got["choices"][0]["message"]["content"] == f"it is {MASK}"
    assert got["choices"][0]["logprobs"] is None


async def test_images_are_left_alone(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    image = "data:image/png;base64," + "123456789" * 20
    parts = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": "123-45-6789"}]
    await post(house, orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": parts}]}))
    assert image.encode() in provider.last.body
    assert MASK.encode() in provider.last.body


# -- streams --------------------------------------------------------------------------------------------------------


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


# -- clients that leave ---------------------------------------------------------------------------------------------


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


# -- providers that fail --------------------------------------------------------------------------------------------


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


# -- refusals -------------------------------------------------------------------------------------------------------


def refuses(house: House, verdict: Verdict, **more: str) -> None:
    house.refuse = lambda exchange: RefusedError(verdict, exchange.id, **more)


DENY = Verdict(Decision.DENY, by="policy", rule="no-weapons", reason="weapons are not discussed here")


async def test_a_denial_names_its_rule_and_reason(house: House, provider: Provider) -> None:
    refuses(house, DENY)
    async with chat_client(house) as client, claude_client(house) as claude:
        with pytest.raises(openai.PermissionDeniedError, match=r"no-weapons.*weapons are not discussed") as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[])
        with pytest.raises(anthropic.PermissionDeniedError, match="no-weapons"):
            await claude.messages.create(model=CLAUDE, max_tokens=10, messages=[])
    assert caught.value.code == "denied"
    assert caught.value.response.json()["error"]["wicket"]["rule"] == "no-weapons"
    assert provider.received == []


async def test_a_held_call_says_where_to_decide_and_when_to_come_back(house: House) -> None:
    verdict = Verdict(Decision.HOLD, by="policy", rule="ask-first", reason="a person decides")
    refuses(house, verdict, ticket="tkt_1", link="http://localhost/console/approvals/tkt_1")
    async with chat_client(house) as client:
        with pytest.raises(openai.ConflictError, match="http://localhost/console/approvals/tkt_1") as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[])
    assert caught.value.code == "approval_pending"
    assert caught.value.response.headers["retry-after"] == "5"
    assert caught.value.response.json()["error"]["wicket"]["ticket"] == "tkt_1"


@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        (Verdict(Decision.DENY, by="kill", rule="kill.session", reason="stopped"), 403, "session_killed"),
        (Verdict(Decision.DENY, by="audit", rule="audit.unwritable", reason="no log"), 503, "unavailable"),
        (Verdict(Decision.DENY, by="detect", rule="stage.error", reason="broken"), 503, "unavailable"),
        (Verdict(Decision.DENY, by="budget", rule="budget.exceeded", reason="spent"), 429, "limit_exceeded"),
    ],
)
async def test_each_refusal_has_its_status(house: House, verdict: Verdict, status: int, code: str) -> None:
    refuses(house, verdict)
    answer = await post(house, CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_withheld_answer_is_paid_for_and_not_shown(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    house.refuse_response = DENY
    answer = await post(house, CHAT)
    assert answer.status_code == 403
    assert "hello" not in answer.text
    assert (house.outcomes[0].status, house.outcomes[0].output_tokens) == ("refused", 2)


async def test_warnings_reach_the_client_as_headers(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    house.warnings.append(Verdict(Decision.WARN, by="loop", rule="loop.repeat", reason="again\r\nset-cookie: é"))
    answer = await post(house, CHAT)
    assert answer.headers["x-wicket-warning"] == "loop.repeat: again?set-cookie: ?"


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not valid JSON"),
        (b'{"model":"gpt-4o","model":"gpt-4o"}', "duplicate member name"),
        (b'{"model":"gpt-4o","n":NaN}', "not valid JSON"),
        (b'{"model":"gpt-4o","n":1e999}', "out of range"),
        (b'{"model":"gpt-4o","n":18446744073709551616}', "beyond 64 bits"),
        (b'{"model":"gpt-4o","x":"\xff"}', "invalid UTF-8"),
        (b'\xef\xbb\xbf{"model":"gpt-4o"}', "byte order mark"),
        (b'{"model":"gpt-4o","x":' + b"[" * 120 + b"]" * 120 + b"}", "nested deeper"),
        (b"[]", "JSON object"),
        (b'{"messages":[]}', "`model`"),
        (b'{"model":7}', "`model`"),
        (b'{"model":"gpt-4o","stream":"true"}', "`stream`"),
        (b"", "not valid JSON"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_malformed_requests_are_refused_and_recorded(
    house: House, provider: Provider, path: str, body: bytes, says: str
) -> None:
    answer = await post(house, body, path)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert provider.received == []
    assert [draft.tag.value for draft in house.drafts] == ["request.malformed"]
    assert house.drafts[0].fields["key_id"] == "key_test"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content_encoding": "gzip"}, CHAT, 415),
        ({"content_type": "text/plain"}, CHAT, 415),
        ({}, b'{"model":"gpt-4o","x":"' + b"x" * 100_000 + b'"}', 413),
    ],
)
async def test_bodies_that_are_not_plain_json_are_refused(
    house: House, provider: Provider, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await post(house, body, **headers)
    assert answer.status_code == status
    assert provider.received == []
    assert [draft.tag.value for draft in house.drafts] == ["request.malformed"]


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_client_that_sends_too_much_is_told_so(house: House, provider: Provider, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 10_000

    headers = BEARER if chunked else BEARER | {"content-length": "3000000"}
    with anyio.fail_after(10):
        async with httpx.AsyncClient(base_url=house.url) as client:
            answer = await client.post("/v1/chat/completions", content=pieces(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_an_unknown_model_is_a_404_of_the_wire(house: House, provider: Provider) -> None:
    async with chat_client(house) as client, claude_client(house) as claude:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="claude-sonnet-5", messages=[])
        with pytest.raises(anthropic.NotFoundError):
            await claude.messages.create(model="gpt-4o", max_tokens=1, messages=[])
    assert caught.value.code == "model_not_found"
    assert [draft.fields["model"] for draft in house.drafts] == ["claude-sonnet-5", "gpt-4o"]


async def test_a_refusal_that_cannot_be_recorded_is_still_a_refusal(house: House) -> None:
    house.audit_is_down = True
    assert (await post(house, b"{")).status_code == 400


async def test_what_nobody_expected_is_told_in_our_words(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> RefusedError:
        raise ZeroDivisionError("a secret of the code")

    house.refuse = broken
    answer = await post(house, CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "a secret of the code" in caplog.text
