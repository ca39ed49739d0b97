"""The two generations of MCP over HTTP: which one a request speaks, and what a modern request must look like.

The rules are the SDK's pure functions; here they are put in order and their words become ours. Nothing is sent here.
"""

from collections.abc import Iterable, Iterator, Mapping

from governance import jsontree
from governance.catalog.catalog import Catalog
from governance.jsontree import Json
from mcp_proxy.link import Era
from mcp_proxy.message import MalformedMessageError, Message
from mcp_proxy.sdk import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    HEADER_MISMATCH,
    METHOD_NOT_FOUND,
    PROTOCOL_VERSION_META_KEY,
    REMOVED_REQUESTS,
    inbound,
)

VERSION_HEADER = "mcp-protocol-version"
MOST_TOOLS = 10_000
"""Definitions whose header annotations are remembered; beyond it they are looked for again."""

TASK_METHODS = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
"""The tasks extension has these name their task in `Mcp-Name` (SEP-2663, "Routing Headers")."""

_PREFIX = inbound.MCP_PARAM_HEADER_PREFIX.lower()
_HANDSHAKE = frozenset(HANDSHAKE_PROTOCOL_VERSIONS)


def era_of(version: str | None) -> Era:
    """The era that a request's `MCP-Protocol-Version` header chooses; only the header counts."""
    return Era.LEGACY if version is None or version in _HANDSHAKE else Era.MODERN


def check_legacy(message: Message, lines: Iterable[tuple[str, str]]) -> None:
    """Refuse what belongs to the other era.

    Raises:
        MalformedMessageError: a modern request without the header that says so, or with two that differ.
    """
    _refuse_repeated(message, lines)
    if message.is_request and PROTOCOL_VERSION_META_KEY in message.meta:
        raise MalformedMessageError(
            "the request has a modern envelope but no such `MCP-Protocol-Version` header",
            code=HEADER_MISMATCH,
            request_id=message.id,
        )


def check_modern(message: Message, headers: Mapping[str, str], lines: Iterable[tuple[str, str]]) -> None:
    """Refuse a message that is not a whole request of the modern era (2026-07-28, "Sending Messages").

    Args:
        message: what was posted.
        headers: the request's headers, lower-case names, values without space around them.
        lines: every header line that was sent, so that repeated ones are seen.

    Raises:
        MalformedMessageError: says which rule it breaks.
    """
    if message.is_response:
        raise MalformedMessageError("a response cannot be posted in this revision")
    if message.is_notification:
        _raise_if(inbound.unsupported_protocol_version_rejection(headers.get(VERSION_HEADER, "")), None)
        _refuse_unlike(message, headers)
        return
    _refuse_repeated(message, lines)
    found = inbound.classify_inbound_request(message.value, headers=headers)
    if isinstance(found, inbound.InboundLadderRejection):
        _raise_if(found, message)
    if message.method in REMOVED_REQUESTS:
        raise MalformedMessageError(
            "this `method` is not part of this revision", code=METHOD_NOT_FOUND, request_id=message.id
        )
    _refuse_unlike(message, headers)


def name_of(method: str) -> str:
    """The parameter that `Mcp-Name` repeats; empty where there is none."""
    return "taskId" if method in TASK_METHODS else inbound.NAME_BEARING_METHODS.get(method, "")


def status_of(response: Message, status: int) -> int:
    """The HTTP status that a modern client expects for a first message which is the response."""
    if status != 200:
        return status
    error = response.value.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return inbound.ERROR_CODE_HTTP_STATUS.get(code, 200) if isinstance(code, int) else 200


class ParamHeaders:
    """The arguments that are repeated in `Mcp-Param-*` headers (SEP-2243), by the schemas of the catalog.

    A header may only repeat what stands in the arguments, because those are judged and headers are not. Whether a tool
    that was never listed wants it there is for the server to check.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._annotated: dict[str, Mapping[str, Json] | None] = {}

    def _schema(self, server: str, message: Message) -> Mapping[str, Json] | None:
        """The schema of the called tool, if it has valid annotations. Looked for once for each definition."""
        if message.method != "tools/call":
            return None
        known = self._catalog.seen(server, jsontree.as_text(message.params.get("name")))
        if known.definition not in self._annotated:
            schema = known.input_schema
            annotated = inbound.find_invalid_x_mcp_header(schema) is None and bool(inbound.x_mcp_header_map(schema))
            if len(self._annotated) >= MOST_TOOLS:
                self._annotated.clear()
            self._annotated[known.definition] = schema if annotated else None
        return self._annotated[known.definition]

    def check(self, server: str, message: Message, headers: Mapping[str, str]) -> None:
        """Refuse a call whose headers and arguments differ.

        Raises:
            MalformedMessageError: they do.
        """
        arguments = jsontree.as_object(message.params.get("arguments"))
        schema = self._schema(server, message)
        known: set[str] = set()
        if schema is not None:
            _raise_if(inbound.validate_mcp_param_headers(schema, arguments, headers), message)
            known = {_PREFIX + name.lower() for name in inbound.x_mcp_header_map(schema).values()}
        others = [text for name, text in headers.items() if name.startswith(_PREFIX) and name not in known]
        if others and not {inbound.decode_header_value(text) for text in others} <= set(_scalars(arguments)):
            raise MalformedMessageError(
                "an `Mcp-Param-` header repeats nothing that stands in the arguments",
                code=HEADER_MISMATCH,
                request_id=message.id,
            )

    def rewritten(self, server: str, message: Message, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers that fit an edited message. What cannot be told is left out, so that nothing removed leaks."""
        kept = {name: text for name, text in headers.items() if not name.startswith(_PREFIX)}
        name = name_of(message.method)
        if name and inbound.MCP_NAME_HEADER in kept:
            kept[inbound.MCP_NAME_HEADER] = inbound.encode_header_value(jsontree.as_text(message.params.get(name)))
        schema = self._schema(server, message)
        if schema is not None:
            arguments = jsontree.as_object(message.params.get("arguments"))
            repeated = inbound.mcp_param_headers(inbound.x_mcp_header_map(schema), arguments)
            kept |= {header.lower(): text for header, text in repeated.items()}
        return kept


def _refuse_unlike(message: Message, headers: Mapping[str, str]) -> None:
    """Refuse headers about something else than the message, which is all that is judged."""
    if headers.get(inbound.MCP_METHOD_HEADER, message.method) != message.method:
        what = inbound.MCP_METHOD_HEADER
    elif inbound.MCP_NAME_HEADER in headers and message.params.get(name_of(message.method)) is None:
        what = inbound.MCP_NAME_HEADER
    elif message.method in TASK_METHODS and inbound.MCP_NAME_HEADER in headers:
        if inbound.decode_header_value(headers[inbound.MCP_NAME_HEADER]) == message.params.get("taskId"):
            return
        what = inbound.MCP_NAME_HEADER
    else:
        return
    raise MalformedMessageError(
        f"the `{what}` header does not match the message", code=HEADER_MISMATCH, request_id=message.id
    )


def _scalars(arguments: Json) -> Iterator[str]:
    """Every scalar of the arguments as a header shows it."""
    stack: list[Json] = [arguments]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, bool):
            yield "true" if node else "false"
        elif node is not None:
            yield str(node)


def _refuse_repeated(message: Message, lines: Iterable[tuple[str, str]]) -> None:
    lines = list(lines)
    params = [name for name, _ in lines if name.startswith(_PREFIX)]
    twice = next((name for name in params if params.count(name) > 1), None) if params else None
    repeated = inbound.find_duplicated_routing_header(lines) or twice
    if repeated:
        raise MalformedMessageError(
            f"the `{repeated}` header appears more than once", code=HEADER_MISMATCH, request_id=message.id
        )


def _raise_if(found: inbound.InboundLadderRejection | None, message: Message | None) -> None:
    if found is not None:
        request_id = message.id if message is not None else None
        raise MalformedMessageError(found.message, code=found.code, request_id=request_id, data=found.data)
