"""How the aggregate introduces itself: as the union of the servers that answer, by the name of each."""

from functools import lru_cache
from importlib.metadata import version

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.aggregate import MISSING_KEY, caching, instructions, union, version_for
from mcp_proxy.aggregate_outlets import Talk
from mcp_proxy.aggregate_reach import Reach, why
from mcp_proxy.link import UpstreamError
from mcp_proxy.message import Message, result_of
from mcp_proxy.sdk import LATEST_MODERN_VERSION, SERVER_INFO_META_KEY
from mcp_proxy.tasks.ids import REVISION


class Greeting:
    """Answers `initialize` and `server/discover`.

    Args:
        reach: the way to the servers.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def initialize(self, talk: Talk, message: Message) -> JsonObject:
        """The result for a legacy client. Each server shakes hands with what the client said.

        Raises:
            UpstreamError, RefusedError: no server answered.
        """
        spoken = version_for(message.params.get("protocolVersion"))
        capabilities = jsontree.as_object(message.params.get("capabilities"))
        capabilities = {name: value for name, value in capabilities.items() if name != "tasks"}
        talk.bundle.greeting = {**message.params, "protocolVersion": spoken, "capabilities": capabilities}

        async def one(name: str) -> JsonObject:
            return (await self._reach.ready(talk, name))[0].introduction

        found = await self._reach.each(talk, talk.servers, one)
        joined = _joined(found, modern=False, tasks=spoken == REVISION)
        return {"protocolVersion": spoken, "serverInfo": _info(), **joined}

    async def discover(self, talk: Talk, message: Message) -> JsonObject:
        """The result for a modern client.

        Raises:
            UpstreamError, RefusedError: no server answered.
        """

        async def one(name: str) -> JsonObject:
            member, link = await self._reach.ready(talk, name)
            answer = await self._reach.ask(talk, member, link, message.method, message.params)
            if "error" in answer.value:
                raise UpstreamError(f"server `{name}` does not speak this revision")
            return result_of(answer)

        found = await self._reach.each(talk, talk.servers, one)
        results = [result for result in found.values() if not isinstance(result, Exception)]
        versions = [text for result in results for text in jsontree.as_list(result.get("supportedVersions"))]
        joined = _joined(found, modern=True)
        meta: JsonObject = {**jsontree.as_object(joined.get("_meta")), SERVER_INFO_META_KEY: _info()}
        whole = len(results) == len(found)
        return {
            "supportedVersions": list(dict.fromkeys(jsontree.as_text(text) for text in versions))
            or [LATEST_MODERN_VERSION],
            **joined,
            "_meta": meta,
            **caching(results, whole=whole),
        }


def _joined(found: dict[str, JsonObject | Exception], *, modern: bool, tasks: bool = False) -> JsonObject:
    """What an introduction says of all servers."""
    results = {name: result for name, result in found.items() if not isinstance(result, Exception)}
    missing: dict[str, Json] = {name: why(error) for name, error in found.items() if isinstance(error, Exception)}
    texts = {name: jsontree.as_text(result.get("instructions")) for name, result in results.items()}
    joined: JsonObject = {
        "capabilities": union(map(_capabilities, results.values()), modern=modern, tasks=tasks),
        "instructions": instructions(texts, missing),
    }
    if missing:
        joined["_meta"] = {MISSING_KEY: missing}
    return joined


def _capabilities(introduction: JsonObject) -> JsonObject:
    """What a server says it can do. Tasks of a server that speaks an older revision are none."""
    found = jsontree.as_object(introduction.get("capabilities"))
    version = introduction.get("protocolVersion", REVISION)
    return found if version == REVISION else {name: value for name, value in found.items() if name != "tasks"}


def _info() -> JsonObject:
    return {"name": "wicket", "version": _version()}


@lru_cache(maxsize=1)
def _version() -> str:
    return version("wicket")
