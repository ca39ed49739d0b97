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
        await step("tools", client.list_tools)
        await step("echo", lambda: client.call_tool("echo", given))
        await step("count", lambda: client.call_tool("count", {}, progress_callback=stepped))
        await step("fail", lambda: client.call_tool("fail", {}))
        await step("broken", lambda: client.call_tool("broken", {}))
        await step("ask", lambda: client.call_tool("ask", {}))
        await step("resources", client.list_resources)
        await step("templates", client.list_resource_templates)
        await step("contents", lambda: client.read_resource("x://y"))
        await step("prompts", client.list_prompts)
        await step("prompt", lambda: client.get_prompt("p", {"who": "ü"}))
        await step("completion", lambda: client.complete(ref, {"name": "who", "value": ""}))
        if not target.get("modern"):
            await step("ping", client.send_ping)  # pyright: ignore[reportDeprecated] - this is the older era
            await step("level", lambda: client.set_logging_level("debug"))  # pyright: ignore[reportDeprecated] - as above
            await step("log", lambda: client.call_tool("log", {}))
        together: dict[int, Any] = {}

        async def one(number: int) -> None:
            together[number] = _plain(await client.call_tool("echo", {"n": number, "who": who}))

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(one, number)
        seen["together"] = [together[number] for number in range(5)]
    return {**seen, "steps": steps}


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
