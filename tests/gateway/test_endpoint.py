"""Requests and whole answers through a real gateway, made with the official clients."""

import gzip

import anyio
import anyio.to_thread
import openai
import orjson

from tests.gateway.asking import CHAT, CLAUDE, chat_client, claude_client, post, said
from tests.gateway.house import KEY, MASK, PROVIDER_KEY, House, config_for, running_gateway
from tests.gateway.provider import Provider
from tests.gateway.samples import CHAT_ANSWER, MESSAGE_ANSWER

ODD = (
    b' {"zeta" : 1e2, "model":"gpt-4o",\n "unknown_member":{"b":1.10,"a":[ ]},"messages":[{"content":'
    b'"caf\\u00e9 \xc3\xa9","role":"user","x":null}],"seed":9007199254740993 } '
)


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
