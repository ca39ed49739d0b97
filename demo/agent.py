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
PATIENCE_SECONDS = 240
"""How long a tool call may take: somewhere a person may be looking at it."""


@dataclass(frozen=True)
class Called:
    """One tool call and what came of it."""

    tool: str
    arguments: dict[str, Any]
    text: str
    refused: bool


@dataclass
class Agent:
    """One agent with its model and its tools.

    Args:
        model_url: base URL of the OpenAI wire.
        tool_urls: address of each MCP server, by the name the model knows it by.
        key: the gateway key, the only credential it has.
        session: what it calls this run.
    """

    model_url: str
    tool_urls: dict[str, str]
    key: str = field(repr=False)
    session: str
    offered: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The tools it was offered, as it hands them to its model, by the name the model knows them by."""
    calls: list[Called] = field(default_factory=list[Called])
    _servers: dict[str, Client] = field(default_factory=dict[str, Client], init=False, repr=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False, repr=False)

    async def __aenter__(self) -> Self:
        """Connect to every tool server and list its tools."""
        headers = {"authorization": f"Bearer {self.key}", "x-wicket-session": self.session}
        self._model = AsyncOpenAI(
            base_url=self.model_url, api_key=self.key, default_headers={"x-wicket-session": self.session}, max_retries=0
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._model.close)
            for name, url in self.tool_urls.items():
                http = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=PATIENCE_SECONDS))
                client = await stack.enter_async_context(Client(streamable_http_client(url, http_client=http)))
                self._servers[name] = client
                for tool in (await client.list_tools()).tools:
                    known = f"{name}__{tool.name}"
                    schema = {"name": known, "description": tool.description, "parameters": tool.input_schema}
                    self.offered[known] = {"type": "function", "function": schema}
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect."""
        await self._stack.aclose()

    async def do(self, task: str) -> str:
        """Work on a task until the model has no more calls to make; returns its last words.

        Raises:
            openai.APIStatusError: the model call was refused.
        """
        messages: list[Any] = [{"role": "user", "content": task}]
        tools: Any = list(self.offered.values())  # their schemas come from the servers as plain JSON
        for _ in range(MAX_TURNS):
            answer = await self._model.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
            said = answer.choices[0].message
            messages.append(said.model_dump(exclude_none=True))
            if not said.tool_calls:
                return said.content or ""
            for call in said.tool_calls:
                if call.type == "function":
                    result = await self.call(call.function.name, json.loads(call.function.arguments))
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": result.text})
        return "I gave up."

    async def call(self, name: str, arguments: dict[str, Any]) -> Called:
        """Call one tool by the name the model knows it by, listed or not."""
        server, _, tool = name.partition("__")
        result = await self._servers[server].call_tool(tool, arguments)
        called = Called(name, arguments, text_of(result), bool(result.is_error))
        self.calls.append(called)
        return called


def text_of(result: CallToolResult) -> str:
    """The text of a tool result, as an agent hands it to its model."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
