"""An agent loop as people write it: the official `openai` and `mcp` SDKs, and nothing of Wicket but two addresses."""

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent
from openai import AsyncOpenAI

MAX_TURNS = 30


@dataclass
class Agent:
    """One agent with its model and its tools."""

    model_url: str
    tool_urls: dict[str, str]
    key: str
    session: str
    tools: dict[str, tuple[Client, str]] = field(default_factory=dict[str, tuple[Client, str]])
    offered: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    refusals: list[str] = field(default_factory=list[str])

    async def __aenter__(self) -> Self:
        """Connect to every tool server and list its tools."""
        self._stack = AsyncExitStack()
        self._headers = {"authorization": f"Bearer {self.key}", "x-wicket-session": self.session}
        self._model = AsyncOpenAI(
            base_url=self.model_url, api_key=self.key, default_headers={"x-wicket-session": self.session}, max_retries=0
        )
        for name, url in self.tool_urls.items():
            http = await self._stack.enter_async_context(httpx2.AsyncClient(headers=self._headers, timeout=120))
            client = await self._stack.enter_async_context(Client(streamable_http_client(url, http_client=http)))
            for tool in (await client.list_tools()).tools:
                self.tools[f"{name}__{tool.name}"] = (client, tool.name)
                schema = {
                    "name": f"{name}__{tool.name}",
                    "description": tool.description,
                    "parameters": tool.input_schema,
                }
                self.offered.append({"type": "function", "function": schema})
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""
        await self._model.close()
        await self._stack.aclose()

    async def do(self, task: str) -> str:
        """Work on a task until the model has no more calls to make; returns its last words."""
        messages: list[Any] = [{"role": "user", "content": task}]
        for _ in range(MAX_TURNS):
            answer = await self._model.chat.completions.create(
                model="gpt-4o-mini", messages=messages, tools=self.offered  # pyright: ignore[reportArgumentType] - schemas come from MCP as plain JSON
            )  # fmt: skip
            said = answer.choices[0].message
            messages.append(said.model_dump(exclude_none=True))
            if not said.tool_calls:
                return said.content or ""
            for call in said.tool_calls:
                if call.type == "function":
                    result = await self._call(call.function.name, json.loads(call.function.arguments))
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return "I gave up."

    async def _call(self, name: str, arguments: dict[str, Any]) -> str:
        client, tool = self.tools[name]
        result = await client.call_tool(tool, arguments)
        text = text_of(result)
        if result.is_error:
            self.refusals.append(text)
        return text


def text_of(result: CallToolResult) -> str:
    """The text of a tool result, as an agent hands it to its model."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
