"""What changes in a message on its way from a modern client to a legacy server and back. Pure.

`mcp_proxy/bridge/downward.py` is the other direction.
"""

from dataclasses import dataclass, field, replace

from governance import jsontree
from governance.exchange import Principal
from governance.jsontree import Json, JsonObject
from mcp_proxy.bridge.downward import LARGEST_CLAIMS, LEVELS, RESOURCE_NOT_FOUND, may_ask, without_tasks
from mcp_proxy.bridge.replies import request
from mcp_proxy.message import INVALID_PARAMS, MalformedMessageError, Message, RequestId
from mcp_proxy.sdk import (
    CACHEABLE_METHODS,
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LATEST_MODERN_VERSION,
    LOG_LEVEL_META_KEY,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
    URL_ELICITATION_REQUIRED,
)
from mcp_proxy.transports.switchboard import PROGRESS

LOG = "notifications/message"
_RESERVED = (PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, LOG_LEVEL_META_KEY)
_ROUND = ("inputResponses", "requestState")
_FRESH: JsonObject = {"ttlMs": 0, "cacheScope": "private"}
"""A legacy server does not say for how long its lists hold, so nobody may keep them."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A modern client as a legacy server sees it. Equal guests may share an upstream session."""

    owner: tuple[str, str, str, str]
    """Key, tenant, user, and what their token was granted for: no session is ever shared between two of them."""
    claims: str
    """Digest of what follows."""
    capabilities: JsonObject = field(compare=False)
    info: JsonObject = field(compare=False)

    @classmethod
    def of(cls, principal: Principal, message: Message) -> "Guest":
        """Who sent a request.

        Raises:
            MalformedMessageError: it tells more of itself than can be kept.
        """
        meta = message.meta
        capabilities = without_tasks(jsontree.as_object(meta.get(CLIENT_CAPABILITIES_META_KEY)))
        info = jsontree.as_object(meta.get(CLIENT_INFO_META_KEY)) or {"name": "unnamed", "version": "0"}
        if len(jsontree.dump([capabilities, info])) > LARGEST_CLAIMS:
            raise MalformedMessageError(
                f"a client may tell {LARGEST_CLAIMS} bytes of itself", code=INVALID_PARAMS, request_id=message.id
            )
        claims = jsontree.digest([capabilities, info])
        owner = (principal.key_id, principal.tenant, principal.user, principal.rights)
        return cls(owner, claims, capabilities, info)


def level_of(message: Message) -> str:
    """The log level that a request opts into; empty if none."""
    level = message.meta.get(LOG_LEVEL_META_KEY)
    return level if isinstance(level, str) and level in LEVELS else ""


def covers(level: str, message: Message) -> bool:
    """Whether a log message is urgent enough for a request's level."""
    found = message.params.get("level")
    return level != "" and (found not in LEVELS or LEVELS.index(str(found)) >= LEVELS.index(level))


def legacy_request(message: Message, wire_id: int) -> Message:
    """A modern client's request as a legacy one: without envelope, under a number of ours."""
    meta = {name: value for name, value in message.meta.items() if name not in _RESERVED}
    if "progressToken" in meta:
        meta["progressToken"] = wire_id
    params = {name: value for name, value in message.params.items() if name not in (*_ROUND, "_meta")}
    if meta:
        params["_meta"] = meta
    value: JsonObject = {**message.value, "id": wire_id, "params": params}
    return replace(message, raw=jsontree.dump(value), value=value, id=wire_id)


def question_of(asked: Message) -> JsonObject:
    """A server's request as an entry of `inputRequests`: without what this revision has removed."""
    params = {name: value for name, value in asked.params.items() if name not in ("elicitationId", "task")}
    return {"method": asked.method, "params": params}


def pages_to_open(response: Message, capabilities: JsonObject) -> JsonObject:
    """The pages that a legacy server wants opened before a call (error -32042), as `inputRequests`.

    Empty if the response is something else, or the client cannot open pages.
    """
    error = jsontree.as_object(response.value.get("error"))
    if error.get("code") != URL_ELICITATION_REQUIRED:
        return {}
    pages = [
        request(0, "elicitation/create", jsontree.as_object(page))
        for page in jsontree.as_list(jsontree.as_object(error.get("data")).get("elicitations"))
    ]
    return {
        f"page-{number}": question_of(page)
        for number, page in enumerate(pages)
        if may_ask(capabilities, page.method, page.params)
    }


def discover_result(initialized: JsonObject) -> JsonObject:
    """The `DiscoverResult` that an `InitializeResult` amounts to."""
    told: JsonObject = {
        "supportedVersions": [LATEST_MODERN_VERSION],
        "capabilities": without_tasks(jsontree.as_object(initialized.get("capabilities"))),
    }
    dropped = ("protocolVersion", "capabilities", "serverInfo")
    told |= {name: value for name, value in initialized.items() if name not in dropped and name not in told}
    return complete(told, initialized, "server/discover")


def complete(result: JsonObject, initialized: JsonObject, method: str) -> JsonObject:
    """A legacy result with what a modern one must have."""
    told: JsonObject = {**result, "resultType": "complete"}
    if method in CACHEABLE_METHODS:
        told = {**told, **_FRESH}
    if "serverInfo" in initialized:
        told["_meta"] = {**jsontree.as_object(result.get("_meta")), SERVER_INFO_META_KEY: initialized["serverInfo"]}
    return told


def modern_response(message: Message, asked: Message, initialized: JsonObject) -> Message:
    """A legacy server's response as a modern client expects it."""
    value: JsonObject = {**message.value, "id": asked.id}
    result, error = value.get("result"), value.get("error")
    if isinstance(result, dict):
        return Message.build({**value, "result": complete(result, initialized, asked.method)})
    if isinstance(error, dict):
        value["error"] = _modern_error(error)
    return replace(message, raw=jsontree.dump(value), value=value, id=asked.id)


def modern_progress(message: Message, token: Json) -> Message:
    """Progress with the client's own token."""
    value: JsonObject = {**message.value, "params": {**message.params, "progressToken": token}}
    return replace(message, raw=jsontree.dump(value), value=value)


def token_of(message: Message) -> RequestId | None:
    """Whose progress a notification tells."""
    token = message.params.get("progressToken") if message.method == PROGRESS else None
    return token if type(token) is int or type(token) is str else None


def _modern_error(error: JsonObject) -> JsonObject:
    if error.get("code") == RESOURCE_NOT_FOUND:
        return {**error, "code": INVALID_PARAMS}
    if error.get("code") == URL_ELICITATION_REQUIRED:
        needed: JsonObject = {"requiredCapabilities": {"elicitation": {"url": {}}}}
        return {**error, "code": MISSING_REQUIRED_CLIENT_CAPABILITY, "data": needed}
    return error
