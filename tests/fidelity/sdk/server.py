"""A server of the Python SDK: `stdio`, or a port that speaks streamable HTTP (`/mcp`) and HTTP+SSE (`/sse`)."""

import json
import sys
from pathlib import Path
from typing import Any, TypeVar

import anyio
import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

OFFERS: dict[str, Any] = json.loads(Path(__file__).with_name("offers.json").read_text())

Context = ServerRequestContext[Any]
Answer = types.CallToolResult | types.InputRequiredResult
_Model = TypeVar("_Model", bound=BaseModel)


def _text(words: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult.model_validate({"content": [{"type": "text", "text": words}], **more})


async def _call(context: Context, params: types.CallToolRequestParams) -> Answer:
    match params.name:
        case "echo":
            return _text("echo", structuredContent={"given": params.arguments}, _meta={"vendor/x": [None, 0.5]})
        case "count":
            for step in (1, 2, 3):
                await context.session.report_progress(step, 3, f"step {step}")
            return _text("counted")
        case "log":
            say = context.session.send_log_message  # pyright: ignore[reportDeprecated] - only the older era calls it
            await say("info", {"a": [None, 0.5]}, "l", context.request_id)
            return _text("logged")
        case "fail":
            return _text("no", isError=True)
        case "ask":
            return await _ask(context, params)
        case _:
            raise MCPError(-31999, "out of order", {"why": [None, 0.5]})


async def _ask(context: Context, params: types.CallToolRequestParams) -> Answer:
    form = types.ElicitRequest(params=types.ElicitRequestFormParams.model_validate(OFFERS["form"]))
    if context.session.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        here = ServerMessageMetadata(related_request_id=context.request_id)
        given = await context.session.send_request(form, types.ElicitResult, metadata=here)
    else:
        answer = (params.input_responses or {}).get("who")
        if not isinstance(answer, types.ElicitResult):
            return types.InputRequiredResult(input_requests={"who": form})
        given = answer
    return _text(f"{given.action} {(given.content or {}).get('name')}")


def _made() -> Server:
    def of(kind: type[_Model], **members: Any) -> Any:
        async def answer(_context: Context, _params: Any) -> _Model:
            return kind.model_validate(members)

        return answer

    made = Server(
        "python", version="1", title="Tß", website_url="https://e.invalid", instructions=OFFERS["instructions"],
        on_list_tools=of(types.ListToolsResult, tools=OFFERS["tools"]),
        on_call_tool=_call,
        on_list_resources=of(types.ListResourcesResult, resources=OFFERS["resources"]),
        on_list_resource_templates=of(types.ListResourceTemplatesResult, resourceTemplates=OFFERS["templates"]),
        on_read_resource=of(types.ReadResourceResult, contents=OFFERS["contents"]),
        on_list_prompts=of(types.ListPromptsResult, prompts=OFFERS["prompts"]),
        on_get_prompt=of(types.GetPromptResult, description="d", messages=OFFERS["messages"]),
        on_completion=of(types.CompleteResult, completion=OFFERS["completion"]),
    )  # fmt: skip
    made.add_request_handler("logging/setLevel", types.SetLevelRequestParams, of(types.EmptyResult))
    return made


async def _speak() -> None:
    made = _made()
    async with stdio_server() as (read, write):
        await made.run(read, write, made.create_initialization_options())


def _serve(port: int) -> None:
    made = _made()
    new, old = made.streamable_http_app(), SseServerTransport("/messages")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/messages":
            await old.handle_post_message(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/sse":
            async with old.connect_sse(scope, receive, send) as (read, write):
                await made.run(read, write, made.create_initialization_options())
        else:
            await new(scope, receive, send)

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        anyio.run(_speak)
    else:
        _serve(int(sys.argv[1]))
