"""Clients of the gateway, and what they ask."""

import anthropic
import httpx
import openai

from tests.gateway.house import KEY, House

BEARER = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
CHAT = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
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
