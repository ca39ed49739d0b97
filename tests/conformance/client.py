"""The client that the suite starts for its client scenarios: the official SDK, directly or with Wicket in between.

`python -m tests.conformance.client [--through FOLDER] URL`. The suite plays the server at URL and names its scenario in
the environment. With `--through`, the Wicket that is set up in FOLDER is started and stands between the two.
"""

import argparse
import contextlib
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from tests.conformance.installation import Installation

_EXAMPLES: Mapping[str, Any] = {"string": "a", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
Scenario = Callable[[Client], Awaitable[None]]


async def _elicited(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """A person who leaves every default as it is, and agrees to the rest."""
    content: dict[str, Any] = {}
    if isinstance(params, ElicitRequestFormParams):
        for name, schema in params.requested_schema.get("properties", {}).items():
            if "default" in schema:
                content[name] = schema["default"]
            elif schema.get("type") == "boolean":
                content[name] = True
    return ElicitResult(action="accept", content=content)


async def _sampled(context: ClientRequestContext, params: CreateMessageRequestParams) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="so be it"), model="none")


async def _roots(context: ClientRequestContext) -> ListRootsResult:
    return ListRootsResult(roots=[])


async def _list(client: Client) -> None:
    await client.list_tools()


async def _add(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("add_numbers", {"a": 5, "b": 3})


async def _reconnect(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("test_reconnection", {})


async def _defaults(client: Client) -> None:
    await client.list_tools()
    await client.call_tool("test_client_elicitation_defaults", {})


async def _rounds(client: Client) -> None:
    await client.list_tools()
    for name in ("test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state", "test_mrtr_no_result_type"):
        await client.call_tool(name, {})


async def _echo_schema(client: Client) -> None:
    listed = await client.list_tools()
    schema = next(tool.input_schema for tool in listed.tools if tool.name == "json_schema_2020_12_tool")
    await client.call_tool("json_schema_echo", {"schema": schema})


async def _call_all(client: Client) -> None:
    """Every tool that the SDK shows; some of the suite's have no handler."""
    for tool in (await client.list_tools()).tools:
        properties = tool.input_schema.get("properties", {})
        wanted = {name: _EXAMPLES.get(properties[name].get("type")) for name in tool.input_schema.get("required", [])}
        with contextlib.suppress(MCPError):
            await client.call_tool(tool.name, wanted)


async def _call_as_told(client: Client) -> None:
    """The calls that the suite wrote down."""
    told = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    shown = {tool.name for tool in (await client.list_tools()).tools}
    for call in told.get("toolCalls", []):
        if call["name"] in shown:
            with contextlib.suppress(MCPError):
                await client.call_tool(call["name"], call.get("arguments") or {})


SCENARIOS: Mapping[str, Scenario] = {
    "initialize": _list,
    "tools_call": _add,
    "elicitation-sep1034-client-defaults": _defaults,
    "sse-retry": _reconnect,
    "request-metadata": _add,
    "sep-2322-client-request-state": _rounds,
    "http-standard-headers": _add,
    "http-custom-headers": _call_as_told,
    "http-invalid-tool-headers": _call_all,
    "json-schema-ref-no-deref": _list,
    "json-schema-2020-12-preservation": _echo_schema,
}
_HANDSHAKE_ONLY = ("json-schema-ref-no-deref",)
"""The suite's server of these speaks the older era whatever the revision."""

_UNLISTED: Mapping[str, Any] = {"pins": "off"}
LENIENT: Mapping[str, Mapping[str, Any]] = {
    "request-metadata": _UNLISTED,
    "http-standard-headers": _UNLISTED,
    "http-custom-headers": {"schemas": "off"},
}
"""Settings of Wicket without which a scenario could not be seen: two have a tool called that the suite's server does
not list, one has an argument sent as null where the tool's schema wants a truth value. Wicket refuses both."""


@contextlib.asynccontextmanager
async def _between(url: str, name: str, through: Path | None) -> AsyncGenerator[str]:
    """The address to speak to."""
    if through is None:
        yield url
        return
    async with Installation(through, key="").serving({"url": url, **LENIENT.get(name, {})}, name) as address:
        yield address


async def play(name: str, url: str, through: Path | None) -> None:
    """Do what a scenario wants of a client."""
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
    is_modern = version in MODERN_PROTOCOL_VERSIONS and name not in _HANDSHAKE_ONLY
    mode: Literal["auto", "legacy"] = "auto" if is_modern else "legacy"
    async with (
        _between(url, name, through) as address,
        Client(
            address,
            mode=mode,
            sampling_callback=_sampled,
            list_roots_callback=_roots,
            elicitation_callback=_elicited,
        ) as client,
    ):
        await SCENARIOS[name](client)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.conformance.client", description=__doc__)
    parser.add_argument("--through", type=Path, help="folder in which Wicket is set up; without it: directly")
    parser.add_argument("url", help="where the suite listens")
    arguments = parser.parse_args()
    anyio.run(play, os.environ["MCP_CONFORMANCE_SCENARIO"], arguments.url, arguments.through)
