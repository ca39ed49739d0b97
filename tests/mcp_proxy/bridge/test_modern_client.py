"""A modern client before a legacy server that a test plays itself: every byte of both sides is looked at."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import pytest

from governance.exchange import Phase
from governance.verdict import ALLOWED, Decision, Verdict
from mcp_proxy.bridge import suspension
from tests.conftest import ManualClock
from tests.mcp_proxy.bridge.stages import MODERN, Stage, bridged
from tests.mcp_proxy.harness import raw_client, serving
from tests.mcp_proxy.raw_client import RawClient, Stream
from tests.mcp_proxy.raw_upstream import Call, RawUpstream, UpstreamSession
from tests.mcp_proxy.stage import AWKWARD

NOT_FOUND = {"code": -32601, "message": "no such method"}
ABLE: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
FORM: dict[str, Any] = {"message": "which?", "requestedSchema": {"type": "object", "properties": {}}}
ACCEPTED = {"action": "accept", "content": {"word": "please"}}


def envelope(capabilities: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": ABLE if capabilities is None else capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "modern-client", "version": "1", "hint": 2**60 + 1},
        **more,
    }


class Scene(NamedTuple):
    """What a test may look at and change."""

    upstream: RawUpstream
    stage: Stage
    client: RawClient
    clock: ManualClock

    @asynccontextmanager
    async def post(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        id: Any = 5,  # noqa: A002 - as on the wire
        meta: Any = None,
    ) -> AsyncGenerator[Any]:
        params = params or {}
        enveloped = {**params, "_meta": envelope() if meta is None else meta}
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method, "params": enveloped}
        name = params.get("name", params.get("uri"))
        lines = {"mcp_protocol_version": MODERN, "mcp_method": method, **({"mcp_name": name} if name else {})}
        async with self.client.send(body, **lines) as response:
            yield response

    async def ask(self, method: str, params: Any = None, **options: Any) -> Any:
        async with self.post(method, params, **options) as response:
            return json.loads(await response.read())

    async def tool(self, name: str = "it", arguments: Any = None, *, more: Any = None, **options: Any) -> Any:
        params: dict[str, Any] = {"name": name, "arguments": arguments or {}, **(more or {})}
        return await self.ask("tools/call", params, **options)

    async def retry(self, asked: Any, answers: Any, arguments: Any = None, **options: Any) -> Any:
        more = {"requestState": asked["result"]["requestState"], "inputResponses": answers}
        return await self.tool(arguments=arguments, more=more, **options)

    def on(self, method: str, handler: Callable[[Call], Awaitable[None]]) -> None:
        self.upstream.handlers[method] = handler

    def sent(self, method: str) -> list[dict[str, Any]]:
        return [call.message for call in self.upstream.calls if call.message.get("method") == method]

    @property
    def session(self) -> UpstreamSession:
        """The first session that the server opened."""
        return self.upstream.sessions["up-0"]

    def leaves(self) -> None:
        """Let the front see that a client has left: it looks after requests that have been open for a while."""
        self.clock.advance(1)


@asynccontextmanager
async def scene(**initialize: Any) -> AsyncGenerator[Scene]:
    upstream = RawUpstream()
    upstream.initialize = {**upstream.initialize, **initialize}

    async def unknown(call: Call) -> None:
        await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": NOT_FOUND}).encode())

    upstream.handlers["server/discover"] = unknown
    clock = ManualClock()
    async with (
        serving(upstream) as url,
        bridged({"url": url, "type": "http"}, clock) as stage,
        raw_client() as http,
    ):
        yield Scene(upstream, stage, RawClient(http, stage.url), clock)


async def elicits(call: Call) -> None:
    """A tool that asks its client for a word."""
    answer = await call.ask({"jsonrpc": "2.0", "id": 77, "method": "elicitation/create", "params": FORM})
    await call.event(call.result({"content": [], "structuredContent": answer.get("result", answer.get("error"))}))
    await call.end()


async def test_a_server_is_asked_for_its_era_once_and_a_call_arrives_as_a_legacy_one() -> None:
    async with scene() as it:

        async def odd(call: Call) -> None:
            await call.reply(call.result({"content": [], "structuredContent": AWKWARD, "vendorKey": AWKWARD}))

        it.on("tools/call", odd)
        meta = envelope({"sampling": {}, "tasks": {}, "x-own": {"a": None}}, traceparent="00-1")
        first = await it.tool(arguments=AWKWARD, more={"vendor": 1.0}, id="a", meta=meta)
        again = await it.tool(arguments=AWKWARD, id=0, meta=meta)
        assert (first["id"], again["id"]) == ("a", 0)
        assert first["result"]["structuredContent"] == first["result"]["vendorKey"] == AWKWARD
        assert first["result"]["resultType"] == "complete"
        assert first["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "raw"
        assert "ttlMs" not in first["result"]
        assert len(it.sent("server/discover")) == len(it.sent("initialize")) == 1
        hello = it.sent("initialize")[0]["params"]
        assert hello["capabilities"] == {"sampling": {}, "x-own": {"a": None}}
        assert hello["clientInfo"] == {"name": "modern-client", "version": "1", "hint": 2**60 + 1}
        call = it.sent("tools/call")[0]
        assert call["params"] == {
            "name": "it",
            "arguments": AWKWARD,
            "vendor": 1.0,
            "_meta": {"traceparent": "00-1"},
        }


async def test_a_discover_request_is_answered_from_the_handshake() -> None:
    async with scene(capabilities={"tools": {}, "tasks": {}, "logging": {}}) as it:
        told = (await it.ask("server/discover"))["result"]
        assert told["supportedVersions"] == [MODERN]
        assert told["capabilities"] == {"tools": {}, "logging": {}}
        assert told["instructions"] == "be kind ü"
        assert (told["resultType"], told["ttlMs"], told["cacheScope"]) == ("complete", 0, "private")
        assert told["extra"] == {"deep": True}


async def test_lists_may_not_be_kept_because_a_legacy_server_does_not_say_for_how_long() -> None:
    async with scene() as it:
        told = (await it.ask("tools/list"))["result"]
        assert (told["ttlMs"], told["cacheScope"]) == (0, "private")


async def test_a_question_of_the_server_suspends_the_call_until_the_next_leg() -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        asked = await it.tool(id=1)
        assert asked["result"]["resultType"] == "input_required"
        assert list(asked["result"]["inputRequests"].values()) == [{"method": "elicitation/create", "params": FORM}]
        (key,) = asked["result"]["inputRequests"]
        told = await it.retry(asked, {key: ACCEPTED, "extra": {}}, id=2)
        assert told["id"] == 2
        assert told["result"]["structuredContent"] == ACCEPTED
        assert len(it.sent("tools/call")) == 1
        assert len(it.stage.gate.admitted) == 2  # each leg is judged


async def test_a_leg_without_the_answers_is_asked_again() -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        asked = await it.tool(id=1)
        again = await it.retry(asked, {"other": ACCEPTED}, id=2)
        assert again["result"]["inputRequests"] == asked["result"]["inputRequests"]
        assert again["result"]["requestState"] != asked["result"]["requestState"]
        (key,) = again["result"]["inputRequests"]
        assert (await it.retry(again, {key: ACCEPTED}, id=3))["result"]["structuredContent"] == ACCEPTED


@pytest.mark.parametrize("change", ["arguments", "name", "principal", "used", "broken", "expired", "foreign"])
async def test_a_state_works_once_for_the_same_request_of_the_same_principal(change: str) -> None:
    async with scene() as it, raw_client("wk_bob") as bob:
        it.on("tools/call", elicits)
        asked = await it.tool(arguments={"amount": 1}, id=1)
        (key,) = asked["result"]["inputRequests"]
        state = asked["result"]["requestState"]
        more = {"requestState": state, "inputResponses": {key: ACCEPTED}}
        arguments, name, other = {"amount": 1}, "it", it
        if change == "arguments":
            arguments = {"amount": 1_000_000}
        elif change == "name":
            name = "other"
        elif change == "principal":
            other = it._replace(client=RawClient(bob, it.stage.url))
        elif change == "used":
            assert "result" in await it.tool(arguments=arguments, more=more, id=2)
        elif change == "broken":
            more["requestState"] = state[:-2] + ("A" if state[-2] != "A" else "B") + state[-1]
        elif change == "expired":
            it.clock.advance(suspension.LONGEST_SECONDS)
        elif change == "foreign":
            more["requestState"] = "of another server"
        async with other.post("tools/call", {"name": name, "arguments": arguments, **more}, id=3) as response:
            assert response.status == 400
            told = json.loads(await response.read())
        assert told["error"]["code"] == -32602
        assert told["error"]["data"] == {"reason": "invalid_request_state"}
        if change != "used":
            assert it.session.answers == {}


async def test_a_call_that_waited_for_too_long_is_cancelled_at_the_server() -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        await it.tool(id=1)
        it.clock.advance(suspension.LONGEST_SECONDS)
        await it.stage.server._pool.sweep()  # pyright: ignore[reportPrivateUsage] - what its watch does
        await it.session.expect("notifications/cancelled").wait()
        assert it.sent("notifications/cancelled")[0]["params"]["requestId"] == it.sent("tools/call")[0]["id"]


async def test_suspended_calls_of_one_principal_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspension, "MOST_OF_ONE", 2)
    async with scene() as it:
        it.on("tools/call", elicits)
        told = [await it.tool(id=number) for number in range(3)]
        assert ["inputRequests" in one["result"] for one in told] == [True, True, False]
        assert told[2]["result"]["structuredContent"]["code"] == -32601


async def test_several_questions_of_one_moment_are_asked_in_one_leg() -> None:
    async with scene() as it:

        async def two(call: Call) -> None:
            assert call.session is not None
            waiting = [call.session.expect(number) for number in (1, 2)]
            for number, method in ((1, "roots/list"), (2, "elicitation/create")):
                await call.event(
                    json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": FORM}).encode()
                )
            for one in waiting:
                await one.wait()
            await call.event(call.result({"content": [], "given": [call.session.answers[n]["result"] for n in (1, 2)]}))
            await call.end()

        it.on("tools/call", two)
        asked = await it.tool(id=1)
        questions = asked["result"]["inputRequests"]
        assert [one["method"] for one in questions.values()] == ["roots/list", "elicitation/create"]
        given: list[Any] = [{"roots": []}, ACCEPTED]
        answers = dict(zip(questions, given, strict=True))
        assert (await it.retry(asked, answers, id=2))["result"]["given"] == given


@pytest.mark.parametrize("capabilities", [{}, {"sampling": {}}, {"elicitation": {"url": {}}}])
async def test_only_what_was_declared_on_this_request_is_asked(capabilities: Any) -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        told = await it.tool(meta=envelope(capabilities))
        assert told["result"]["structuredContent"]["code"] == -32601


async def test_clients_that_declare_different_things_have_different_sessions() -> None:
    async with scene() as it, raw_client("wk_bob") as bob:
        await it.tool(meta=envelope({}))
        await it.tool(meta=envelope({"roots": {}}))
        await it.tool(meta=envelope({}))
        await it._replace(client=RawClient(bob, it.stage.url)).tool(meta=envelope({}))
        assert [hello["params"]["capabilities"] for hello in it.sent("initialize")] == [{}, {"roots": {}}, {}]


async def test_a_question_on_the_servers_own_stream_belongs_to_the_only_call() -> None:
    async with scene() as it:

        async def aside(call: Call) -> None:
            assert call.session is not None
            await call.event(b'{"jsonrpc": "2.0", "method": "notifications/cancelled"}')
            await call.session.listening.wait()
            waiting = call.session.expect("q")
            await call.session.stream.event(
                json.dumps({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": FORM}).encode()
            )
            await waiting.wait()
            await call.event(call.result({"content": [], "given": call.session.answers["q"]["result"]}))
            await call.end()

        it.on("tools/call", aside)
        asked = await it.tool(id=1)
        (key,) = asked["result"]["inputRequests"]
        assert (await it.retry(asked, {key: ACCEPTED}, id=2))["result"]["given"] == ACCEPTED


async def test_a_client_that_leaves_cancels_its_call_at_the_server() -> None:
    async with scene() as it:

        async def slow(call: Call) -> None:
            await call.event(b'{"jsonrpc": "2.0", "method": "notifications/vendor"}')
            await call.until_left()

        it.on("tools/call", slow)
        async with it.post("tools/call", {"name": "it", "arguments": {}}) as response:
            await response.content.readany()
            it.leaves()
        await it.session.expect("notifications/cancelled").wait()
        told = it.sent("notifications/cancelled")[0]["params"]
        assert told == {"requestId": it.sent("tools/call")[0]["id"], "reason": "the client has left"}
        assert [outcome.status for _, outcome in it.stage.gate.settled] == ["cancelled"]


async def test_progress_carries_the_clients_own_token_and_log_messages_are_for_who_wants_them() -> None:
    async with scene(capabilities={"logging": {}}) as it:

        async def busy(call: Call) -> None:
            token = call.params["_meta"]["progressToken"]
            told: list[tuple[str, Any]] = [
                ("notifications/progress", {"progressToken": token, "progress": 1, "vendor": 1.0}),
                ("notifications/message", {"level": "info", "data": "quiet"}),
                ("notifications/message", {"level": "error", "data": "loud"}),
                ("notifications/vendor", {"kept": True}),
                ("notifications/elicitation/complete", {"elicitationId": "x"}),
            ]
            for method, params in told:
                await call.event(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
            await call.event(call.result({"content": []}))
            await call.end()

        it.on("tools/call", busy)

        async def heard(**meta: Any) -> list[Any]:
            params: dict[str, Any] = {"name": "it", "arguments": {}}
            async with it.post("tools/call", params, meta=envelope(progressToken=0, **meta)) as response:
                return [one.get("params") for one in await Stream(response).rest()][:-1]

        progress = {"progressToken": 0, "progress": 1, "vendor": 1.0}
        loud, kept = {"level": "error", "data": "loud"}, {"kept": True}
        assert await heard() == [progress, kept]
        assert await heard(**{"io.modelcontextprotocol/logLevel": "warning"}) == [progress, loud, kept]
        assert [call["params"] for call in it.sent("logging/setLevel")] == [{"level": "warning"}]


async def test_a_subscription_hears_the_servers_own_stream_under_its_own_name() -> None:
    capabilities = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
    async with scene(capabilities=capabilities) as it:
        unsubscribed = anyio.Event()

        async def unsubscribe(call: Call) -> None:
            unsubscribed.set()
            await call.reply(call.result({}))

        it.on("resources/unsubscribe", unsubscribe)
        wanted = {"toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": ["memo://a"]}
        async with it.post("subscriptions/listen", {"notifications": wanted}, id="sub") as response:
            stream = Stream(response)
            acknowledged = await stream.message()
            assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
            accepted = {"toolsListChanged": True, "resourceSubscriptions": ["memo://a"]}
            assert acknowledged["params"]["notifications"] == accepted
            session = it.session
            await session.listening.wait()
            told: list[tuple[str, Any]] = [
                ("notifications/prompts/list_changed", {}),
                ("notifications/resources/updated", {"uri": "memo://other"}),
                ("notifications/resources/updated", {"uri": "memo://a"}),
                ("notifications/tools/list_changed", {}),
            ]
            for method, params in told:
                await session.stream.event(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
            tag = {"io.modelcontextprotocol/subscriptionId": "sub"}
            assert (await stream.message())["params"] == {"uri": "memo://a", "_meta": tag}
            changed = await stream.message()
            assert (changed["method"], changed["params"]) == ("notifications/tools/list_changed", {"_meta": tag})
            it.leaves()
        await unsubscribed.wait()
        assert [call["params"] for call in it.sent("resources/subscribe")] == [{"uri": "memo://a"}]


async def test_a_session_that_the_server_forgot_is_opened_anew_once() -> None:
    async with scene() as it:
        assert "result" in await it.tool(id=1)
        it.upstream.sessions.clear()
        assert "result" in await it.tool(id=2)
        assert len(it.sent("initialize")) == 2


async def test_a_session_that_nobody_uses_ends() -> None:
    async with scene() as it:
        await it.tool()
        pool = it.stage.server._pool  # pyright: ignore[reportPrivateUsage] - what its watch does
        await pool.sweep()
        assert it.upstream.ended == []
        it.clock.advance(301)
        await pool.sweep()
        assert it.upstream.ended == ["up-0"]


async def test_pages_that_must_be_opened_first_are_asked_for_and_the_call_is_made_again() -> None:
    async with scene() as it:
        page = {"mode": "url", "elicitationId": "e", "url": "https://example.invalid/", "message": "log in"}

        async def locked(call: Call) -> None:
            error = {"code": -32042, "message": "log in first", "data": {"elicitations": [page]}}
            done = len(it.sent("tools/call")) > 1
            body = (
                call.result({"content": []}) if done else json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error})
            )
            await call.reply(body if isinstance(body, bytes) else body.encode())

        it.on("tools/call", locked)
        asked = (await it.tool(id=1))["result"]
        (question,) = asked["inputRequests"].values()
        assert question["params"] == {"mode": "url", "url": "https://example.invalid/", "message": "log in"}
        assert "requestState" not in asked
        assert "result" in await it.tool(more={"inputResponses": {"page-0": {"action": "accept"}}}, id=2)
        it.upstream.calls.clear()
        unable = await it.tool(meta=envelope({}))
        assert unable["error"]["code"] == -32021


async def test_a_removed_method_is_not_found() -> None:
    async with scene() as it:
        async with it.post("tasks/get", {"taskId": "x"}) as response:
            told = json.loads(await response.read())
        assert told["error"]["code"] == -32601
        assert it.sent("tasks/get") == []


async def test_a_leg_that_policy_denies_never_reaches_the_server() -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        asked = await it.tool(id=1)
        (key,) = asked["result"]["inputRequests"]
        denied = Verdict(Decision.DENY, by="test", rule="test.no", reason="no more")
        it.stage.gate.judge = lambda exchange, phase: denied if phase is Phase.REQUEST else ALLOWED
        told = await it.retry(asked, {key: ACCEPTED}, id=2)
        assert told["result"]["isError"] is True
        assert it.session.answers == {}


async def test_a_server_that_became_a_modern_one_is_found_out() -> None:
    async with scene() as it:
        assert "result" in await it.tool(id=1)
        it.upstream.sessions.clear()

        async def modern_now(call: Call) -> None:
            await call.reply(call.result({"supportedVersions": [MODERN], "capabilities": {}, "resultType": "complete"}))

        async def refused(call: Call) -> None:
            error = {"code": -32022, "message": "no", "data": {"supported": [MODERN], "requested": "2025-11-25"}}
            await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode(), status=400)

        it.on("server/discover", modern_now)
        it.on("initialize", refused)
        assert (await it.tool(id=2))["error"]["data"]["wicket"] == "upstream"
        assert "result" in await it.tool(id=3)
        assert "io.modelcontextprotocol/protocolVersion" in it.sent("tools/call")[-1]["params"]["_meta"]
