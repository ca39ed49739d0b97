"""A model that says the same words again and again: noted, cut off, and the session stopped, streamed or not."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import anthropic
import openai
import pytest

from tests.gateway.conftest import hosted
from tests.gateway.provider import Provider
from tests.gateway.samples import CHAT_ANSWER, chat_stream, message_stream
from tests.gateway.test_governed import CLAUDE, Governed, open_governed

WORDS = "I will look at the file again to see what it says. "
OTHER = "Here is what I found in the first of the files that you named. "


@pytest.fixture
async def governed(provider: Provider, sqlite_url: str, tmp_path: Path) -> AsyncGenerator[Governed]:
    async with hosted(open_governed(provider.url, sqlite_url, tmp_path)) as governed:
        yield governed


def whole(text: str) -> bytes:
    """An answer in one piece."""
    answer = json.loads(CHAT_ANSWER)
    answer["choices"][0]["message"]["content"] = text
    return json.dumps(answer).encode()


async def test_a_stream_that_repeats_itself_is_cut_off_with_an_error_of_the_clients_own_shape(
    governed: Governed, provider: Provider
) -> None:
    provider.streams(*message_stream(OTHER, *[WORDS] * 1_000))
    said = ""

    async def listen(stream: AsyncIterator[object]) -> None:
        nonlocal said
        async for event in stream:
            said += getattr(getattr(event, "delta", None), "text", "")

    async with governed.anthropic() as client:
        stream = await client.messages.create(model=CLAUDE, max_tokens=9, messages=[], stream=True)
        with pytest.raises(anthropic.APIStatusError, match=r"loop\.text.*said the same words 20\d times"):
            await listen(stream)
    assert said.startswith(OTHER + WORDS)
    assert 180 <= said.count(WORDS) <= 210
    withheld = await governed.one("exchange.withheld")
    assert (withheld["rule"], withheld["shadow"]) == ("loop.text", ["loop.text: warn"])


async def test_a_stream_that_repeats_itself_a_little_is_noted(governed: Governed, provider: Provider) -> None:
    provider.streams(*chat_stream(*[WORDS] * 40, OTHER))
    async with governed.openai() as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=[], stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert said == WORDS * 40 + OTHER
    assert (await governed.one("exchange.completed"))["shadow"] == ["loop.text: warn"]


async def test_an_answer_in_one_piece_is_withheld_or_noted_too(governed: Governed, provider: Provider) -> None:
    async with governed.openai() as client:
        provider.answers(whole(WORDS * 1_000))
        with pytest.raises(openai.PermissionDeniedError, match=r"loop\.text"):
            await client.chat.completions.create(model="gpt-4o", messages=[])
        provider.answers(whole(WORDS * 40))
        answer = await client.chat.completions.create(model="gpt-4o", messages=[])
    assert answer.choices[0].message.content == WORDS * 40
    assert (await governed.one("exchange.completed"))["shadow"] == ["loop.text: warn"]


async def test_each_of_several_answers_is_heard(governed: Governed, provider: Provider) -> None:
    answer = json.loads(whole("a plain text that goes on and on without saying anything twice, " + OTHER * 2))
    second = json.loads(whole(WORDS * 40))["choices"][0]
    answer["choices"] += [{**second, "index": 1}]
    provider.answers(json.dumps(answer).encode())
    async with governed.openai() as client:
        await client.chat.completions.create(model="gpt-4o", messages=[], n=2)
    assert (await governed.one("exchange.completed"))["shadow"] == ["loop.text: warn"]


async def test_words_of_the_user_and_text_that_moves_on_are_not_spoken_of(
    governed: Governed, provider: Provider
) -> None:
    rows = "".join(f"row {number}: the value is {number * 7}\n" for number in range(2_000))
    async with governed.openai() as client:
        provider.answers(whole(rows))
        await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": WORDS * 1_000}])
    assert "shadow" not in await governed.one("exchange.completed")
