"""What changes in a message on its way from a legacy client to a modern server and back. Pure.

`mcp_proxy/bridge/upward.py` is the other direction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.message import INVALID_PARAMS, Message, RequestId
from mcp_proxy.sdk import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)

RESOURCE_NOT_FOUND = -32002
"""What legacy revisions say where modern ones say -32602 (2025-11-25, "Resources")."""
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""Of log messages, least urgent first (RFC 5424, as every revision has them)."""
NEEDS: Mapping[str, str] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a server may ask, and the capability that a client must have declared."""
LARGEST_CLAIMS = 64 * 1024
"""Bytes of capabilities and name that a client may tell of itself: they are kept as long as its session is."""
TASKS = "io.modelcontextprotocol/tasks"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
_RESERVED = (PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, LOG_LEVEL_META_KEY)
NO_TASKS = (
    "tasks are not offered here: the server speaks another era than this client, and its tasks cannot be said in it; "
    "make the call without one"
)
"""The generations differ in who asks for a task, how its result is fetched, and how it asks something meanwhile."""
_ONLY_MODERN_PARAMS = ("inputResponses", "requestState", "task")
_ONLY_MODERN_RESULT = ("resultType", "ttlMs", "cacheScope")


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What a legacy client told once and a modern server wants to hear with each request."""

    capabilities: JsonObject = field(default_factory=dict[str, Json])
    info: JsonObject | None = None
    level: str = ""
    """What it set by `logging/setLevel`; empty if nothing."""

    @classmethod
    def of(cls, initialize: Message) -> "ClientFacts":
        """What an `initialize` request tells. Tasks of 2025-11-25 have no counterpart, so they are left out."""
        info = initialize.params.get("clientInfo")
        return cls(
            without_tasks(jsontree.as_object(initialize.params.get("capabilities"))),
            info if isinstance(info, dict) else None,
        )


def without_tasks(capabilities: JsonObject) -> JsonObject:
    """Capabilities of a client or a server without tasks of either generation: those cannot be translated."""
    kept = {name: value for name, value in capabilities.items() if name != "tasks"}
    extensions = kept.get("extensions")
    if isinstance(extensions, dict) and TASKS in extensions:
        kept["extensions"] = {name: value for name, value in extensions.items() if name != TASKS}
    return kept


def may_ask(capabilities: JsonObject, method: str, params: JsonObject) -> bool:
    """Whether a client that declared `capabilities` may be sent this request of a server."""
    needed = NEEDS.get(method)
    if needed is None or not isinstance(capabilities.get(needed), dict):
        return False
    if params.get("mode") == "url":
        return "url" in jsontree.as_object(capabilities.get("elicitation"))
    declared = jsontree.as_object(capabilities.get(needed))
    return needed != "elicitation" or not declared or "form" in declared  # an empty object means forms


def modern_request(message: Message, facts: ClientFacts, request_id: RequestId, more: JsonObject) -> Message:
    """A legacy client's request as a modern one.

    Args:
        message: what the client sent.
        facts: what the client told before.
        request_id: the id to send it with.
        more: further members of `params`: the answers of a round.
    """
    meta = {name: value for name, value in message.meta.items() if name not in _RESERVED}
    meta[PROTOCOL_VERSION_META_KEY] = LATEST_MODERN_VERSION
    meta[CLIENT_CAPABILITIES_META_KEY] = facts.capabilities
    if facts.info is not None:
        meta[CLIENT_INFO_META_KEY] = facts.info
    if facts.level:
        meta[LOG_LEVEL_META_KEY] = facts.level
    params = {name: value for name, value in message.params.items() if name not in _ONLY_MODERN_PARAMS}
    return Message.build({**message.value, "id": request_id, "params": {**params, **more, "_meta": meta}})


def initialize_result(discovered: JsonObject, requested: Json, name: str) -> JsonObject:
    """The `InitializeResult` that a `DiscoverResult` amounts to.

    Args:
        discovered: the modern server's answer.
        requested: the version that the client asked for.
        name: what to call a server that does not name itself.
    """
    meta = jsontree.as_object(discovered.get("_meta"))
    known = isinstance(requested, str) and requested in HANDSHAKE_PROTOCOL_VERSIONS
    told: JsonObject = {
        "protocolVersion": requested if known else LATEST_HANDSHAKE_VERSION,
        "capabilities": without_tasks(jsontree.as_object(discovered.get("capabilities"))),
        "serverInfo": meta.get(SERVER_INFO_META_KEY) or {"name": name, "version": "0"},
    }
    dropped = ("supportedVersions", "capabilities", "_meta", *_ONLY_MODERN_RESULT)
    told |= {member: value for member, value in discovered.items() if member not in dropped and member not in told}
    return told


def legacy_response(message: Message, asked: Message) -> Message:
    """A modern server's response as a legacy client expects it."""
    value: JsonObject = {**message.value, "id": asked.id}
    found = value.get("result")
    error = value.get("error")
    if isinstance(found, dict):
        value["result"] = {name: item for name, item in found.items() if name not in _ONLY_MODERN_RESULT}
    elif isinstance(error, dict) and asked.method.startswith("resources/") and _is_absent(error):
        value["error"] = {**error, "code": RESOURCE_NOT_FOUND}
    return replace(message, raw=jsontree.dump(value), value=value, id=asked.id)


def legacy_notification(message: Message) -> Message:
    """A notification of a subscription without the name of the subscription."""
    if SUBSCRIPTION_ID not in message.meta:
        return message
    meta = {name: value for name, value in message.meta.items() if name != SUBSCRIPTION_ID}
    params = {name: value for name, value in message.params.items() if name != "_meta"}
    if meta:
        params["_meta"] = meta
    value: JsonObject = {**message.value, "params": params}
    return replace(message, raw=jsontree.dump(value), value=value)


def _is_absent(error: JsonObject) -> bool:
    """Whether an error says that a resource does not exist. SEP-2164 names it in `data.uri`."""
    if error.get("code") != INVALID_PARAMS:
        return False
    named = isinstance(jsontree.as_object(error.get("data")).get("uri"), str)
    return named or "not found" in jsontree.as_text(error.get("message")).casefold()
