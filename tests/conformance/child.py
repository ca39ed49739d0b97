"""A stdio server as a child process of the adapter: what it says is given to whoever asked.

Written for the conformance suite alone, and without Wicket's own transports: they are what the suite is to judge.
"""

import contextlib
import itertools
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias, cast

import anyio
import orjson
from anyio.abc import Process
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import LOG_LEVEL_META_KEY
from mcp_types.jsonrpc import INTERNAL_ERROR

Json: TypeAlias = dict[str, Any]
READ_BYTES = 65_536
PATIENCE_SECONDS = 10
"""How long a child may take to end after its input was closed."""


class Box:
    """Messages in the order in which they came, for one reader."""

    def __init__(self) -> None:
        self._in, self._out = anyio.create_memory_object_stream[Json](float("inf"))

    def put(self, message: Json) -> None:
        """Add a message."""
        self._in.send_nowait(message)

    def close(self) -> None:
        """Nothing comes any more."""
        self._in.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Json:
        try:
            return await self._out.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


@dataclass
class Call:
    """A request that is under way: as the client made it, and the id under which the child knows it."""

    request: Json
    sent_id: Any
    box: Box = field(default_factory=Box)
    answered: bool = False

    @property
    def token(self) -> Any:
        """The client's progress token; None without one."""
        return meta_of(self.request).get("progressToken")

    def put(self, message: Json) -> None:
        """Give a message to the client; a response is the last one."""
        self.box.put(message)
        if "method" not in message:
            self.answered = True
            self.box.close()


class Child:
    """One running server.

    Args:
        process: the server.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self.shared = False
        """Whether several clients use it (2026-07-28), whose ids may be the same."""
        self._numbers = itertools.count(1)
        self._calls: dict[Any, Call] = {}
        self._writing = anyio.Lock()
        self.strays = Box()
        """What belongs to no call."""

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Start the server."""
        return cls(await anyio.open_process(command, stderr=None, stdin=subprocess.PIPE))

    async def ask(self, request: Json) -> Call:
        """Send a request; everything that answers it will lie in the box of the call."""
        call = Call(request, next(self._numbers) if self.shared else request["id"])
        self._calls[call.sent_id] = call
        await self.tell(self._outward(call))
        return call

    async def tell(self, message: Json) -> None:
        """Send something that has no answer."""
        assert self._process.stdin is not None
        async with self._writing:
            try:
                await self._process.stdin.send(orjson.dumps(message) + b"\n")
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._fail_all()

    async def give_up(self, call: Call) -> None:
        """The client does not wait for this any more."""
        if not call.answered and self.shared:
            await self.tell(
                {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call.sent_id}}
            )
        self._calls.pop(call.sent_id, None)

    async def read(self) -> None:
        """Deliver what the server says, until it ends."""
        assert self._process.stdout is not None
        rest = b""
        with contextlib.suppress(anyio.ClosedResourceError):  # `stop` was quicker
            async for chunk in self._process.stdout:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        self._deliver(orjson.loads(line))
        self._fail_all()

    async def stop(self) -> None:
        """Close the server's input and wait for its end."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        with anyio.move_on_after(PATIENCE_SECONDS) as waiting:
            await self._process.wait()
        if waiting.cancelled_caught:
            self._process.kill()
        await self._process.aclose()

    # -- which message belongs to which call ---------------------------------------------------------------------------

    def _outward(self, call: Call) -> Json:
        """The request as the child sees it."""
        if not self.shared:
            return call.request
        sent = {**call.request, "id": call.sent_id}
        if call.token is not None:
            params = sent["params"]
            sent["params"] = {**params, "_meta": {**params["_meta"], "progressToken": call.sent_id}}
        return sent

    def _deliver(self, message: Json) -> None:
        if "method" not in message:
            call = self._calls.pop(message.get("id"), None)
            if call is not None:
                call.put(_tagged({**message, "id": call.request["id"]}, call))
            return
        found = self._linked(message)
        if found is None:
            self.strays.put(message)
        else:
            found[0].put(found[1])

    def _linked(self, message: Json) -> tuple[Call, Json] | None:
        """The call that a message of the server belongs to, and the message as the client knows it."""
        params = cast("Json", message.get("params") or {})
        if message["method"] == "notifications/progress":
            wanted = params.get("progressToken")
            for call in self._calls.values():
                if wanted == (call.sent_id if self.shared else call.token) and call.token is not None:
                    return call, {**message, "params": {**params, "progressToken": call.token}}
        call = self._calls.get(meta_of(message).get(SUBSCRIPTION_ID_META_KEY))
        if call is not None:
            return call, _tagged(message, call)
        # Nothing in the message says more. One that is alone, or the only one that wants to see logs, must be it.
        waiting = [
            call for call in self._calls.values() if not self.shared or LOG_LEVEL_META_KEY in meta_of(call.request)
        ]
        return (waiting[-1], message) if len(waiting) == 1 else None

    def _fail_all(self) -> None:
        """Tell everybody who waits that the server is gone."""
        error = {"code": INTERNAL_ERROR, "message": "the server ended"}
        for call in list(self._calls.values()):
            call.put({"jsonrpc": "2.0", "id": call.request["id"], "error": error})
        self._calls.clear()
        self.strays.close()


def meta_of(message: Json) -> Json:
    """The `_meta` of a message's parameters."""
    params: Any = message.get("params")
    found: Any = cast("Json", params).get("_meta") if isinstance(params, dict) else None
    return cast("Json", found) if isinstance(found, dict) else {}


def _tagged(message: Json, call: Call) -> Json:
    """A message of a subscription with the id by which the client knows it."""
    place = "params" if "method" in message else "result"
    inner = message.get(place)
    meta: Any = cast("Json", inner).get("_meta") if isinstance(inner, dict) else None
    if not isinstance(meta, dict) or SUBSCRIPTION_ID_META_KEY not in meta:
        return message
    tagged = {**cast("Json", meta), SUBSCRIPTION_ID_META_KEY: call.request["id"]}
    return {**message, place: {**cast("Json", inner), "_meta": tagged}}
