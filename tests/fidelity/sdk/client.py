"""A client of the Python SDK, in either era: plays `script.mjs` against every target given on standard input."""

import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.context import ClientRequestContext
from mcp.client.sse import sse_client
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return [_plain(one) for one in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


def _server(target: dict[str, Any]) -> Any:
    if target["transport"] == "sse":
        return sse_client(target["url"])
    if target["transport"] == "http":
        return target["url"]
    program, *args = target["command"]
    return StdioServerParameters(
        command=program, args=args, env={**os.environ, **target.get("env", {})}, cwd=target.get("cwd")
    )


async def _play(target: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = {"notes": []}
    steps: list[Any] = []

    async def answer(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        seen["notes"].append(_plain(params))
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def logged(params: types.LoggingMessageNotificationParams) -> None:
        seen["notes"].append(_plain(params))

    async def stepped(progress: float, total: float | None, message: str | None) -> None:
        steps.append([progress, total, message])

    async def step(name: str, run: Callable[[], Awaitable[Any]]) -> None:
        try:
            seen[name] = _plain(await run())
        except MCPError as error:
            seen[name] = {"error": [error.code, error.message, error.data]}

    async with Client(
        _server(target),
        mode="auto" if target.get("modern") else "legacy",
        elicitation_callback=answer,
        logging_callback=logged,
        client_info=types.Implementation(name="python", version="9"),
    ) as client:
        seen["introduction"] = [
            _plain(client.server_info), _plain(client.server_capabilities), client.instructions
        ]  # fmt: skip
        for name, run in _script(client, target, stepped).items():
            await step(name, run)
        seen["together"] = await _together(client, target["who"])
    return {**seen, "steps": steps}


def _script(client: Client, target: dict[str, Any], stepped: ProgressFnT) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What is done, in this order."""
    who = target["who"]
    given: dict[str, Any] = {
        "text": "grüße 🦊 \u2028",
        "who": who,
        "big": 2**60 + 1,
        "half": 0.5,
        "no": None,
        "list": [[], {}],
    }
    ref = types.PromptReference(type="ref/prompt", name="p")
    both: dict[str, Callable[[], Awaitable[Any]]] = {
        "tools": client.list_tools,
        "echo": lambda: client.call_tool("echo", given),
        "count": lambda: client.call_tool("count", {}, progress_callback=stepped),
        "fail": lambda: client.call_tool("fail", {}),
        "broken": lambda: client.call_tool("broken", {}),
        "ask": lambda: client.call_tool("ask", {}),
        "resources": client.list_resources,
        "templates": client.list_resource_templates,
        "contents": lambda: client.read_resource("x://y"),
        "prompts": client.list_prompts,
        "prompt": lambda: client.get_prompt("p", {"who": "ü"}),
        "completion": lambda: client.complete(ref, {"name": "who", "value": ""}),
    }
    if target.get("modern"):
        return both
    return {
        **both,
        "ping": client.send_ping,  # pyright: ignore[reportDeprecated] - this is the older era
        "level": lambda: client.set_logging_level("debug"),  # pyright: ignore[reportDeprecated] - as above
        "log": lambda: client.call_tool("log", {}),
    }


async def _together(client: Client, who: str) -> list[Any]:
    """Five calls at once."""
    found: dict[int, Any] = {}

    async def one(number: int) -> None:
        found[number] = _plain(await client.call_tool("echo", {"n": number, "who": who}))

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(one, number)
    return [found[number] for number in range(5)]


async def _main() -> None:
    found: dict[str, Any] = {}

    for target in json.load(sys.stdin):
        try:
            found[target["name"]] = await _play(target)
        except Exception as error:  # noqa: BLE001 - whatever it was, the test shows it
            found[target["name"]] = {"trouble": repr(error)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    anyio.run(_main)
