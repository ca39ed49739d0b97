"""The headers that a modern server expects beside a request, for clients that send none (SEP-2243).

What a tool wants repeated in `Mcp-Param-*` stands in its schema, so schemas of listed tools are remembered. Whether
headers fit their message is not checked here: these are made from it.
"""

from collections.abc import Mapping

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.eras import VERSION_HEADER
from mcp_proxy.message import Message
from mcp_proxy.sdk import LATEST_MODERN_VERSION, inbound

MOST_TOOLS = 10_000
"""Tools of one server that are remembered; beyond it all are forgotten and looked for again."""


class Annotations:
    """What the tools of one server want repeated in headers."""

    def __init__(self) -> None:
        self._of_tool: dict[str, dict[tuple[str, ...], str]] = {}

    def __contains__(self, tool: str) -> bool:
        return tool in self._of_tool

    def learn(self, tools: list[Json]) -> list[Json]:
        """Remember listed tools; returns those that may be shown. One with an invalid annotation may not."""
        valid: list[Json] = []
        for tool in tools:
            schema = jsontree.as_object(jsontree.as_object(tool).get("inputSchema"))
            if inbound.find_invalid_x_mcp_header(schema) is not None:
                continue
            valid.append(tool)
            if len(self._of_tool) >= MOST_TOOLS:
                self._of_tool.clear()
            self._of_tool[jsontree.as_text(jsontree.as_object(tool).get("name"))] = inbound.x_mcp_header_map(schema)
        return valid

    def headers(self, message: Message) -> Mapping[str, str]:
        """The headers of a modern request, lower-case names."""
        found = {
            VERSION_HEADER: LATEST_MODERN_VERSION,
            inbound.MCP_METHOD_HEADER: inbound.encode_header_value(message.method),
        }
        params = message.params
        subject = inbound.NAME_BEARING_METHODS.get(message.method)
        if subject is not None:
            found[inbound.MCP_NAME_HEADER] = inbound.encode_header_value(jsontree.as_text(params.get(subject)))
        if message.method == "tools/call":
            annotated = self._of_tool.get(jsontree.as_text(params.get("name")), {})
            arguments: JsonObject = jsontree.as_object(params.get("arguments"))
            found |= {name.lower(): text for name, text in inbound.mcp_param_headers(annotated, arguments).items()}
        return found
