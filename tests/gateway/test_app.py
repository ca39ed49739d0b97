"""The gateway as clients see it: paths, methods, keys."""

import httpx
import openai

from tests.gateway.house import KEY, House
from tests.gateway.provider import Provider

ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}'
)


async def test_the_official_client_gets_an_answer(house: House, provider: Provider) -> None:
    provider.answers(ANSWER)
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0) as client:
        answer = await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "hello"
    assert house.outcomes[0].input_tokens == 5
    assert house.outcomes[0].model == "gpt-4o-mini-2024"


async def test_agents_may_knock_without_a_key(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as client:
        for path in ("/", "/api/hello", "/healthz", "/readyz"):
            answer = await client.head(path)
            assert (answer.status_code, answer.content) == (200, b"")
