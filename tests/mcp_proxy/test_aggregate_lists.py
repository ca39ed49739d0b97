"""Lists of the aggregate: paged over servers, with cursors that lead nowhere else, and names that are found again."""

from typing import Any

import anyio
import pytest

from governance.config.models import Limits
from mcp_proxy.aggregate import MISSING_KEY, exposed
from tests.mcp_proxy.joint import ERAS, connected, lists, raw, sent
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import TOOL, modern


def tools(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "inputSchema": {"type": "object"}} for name in names]


def names_in(answer: Any) -> list[str]:
    return [tool["name"] for tool in answer["result"]["tools"]]


@pytest.mark.parametrize("mode", ERAS)
async def test_an_official_client_pages_through_all_servers(mode: Any) -> None:
    async with raw() as stage:
        lists(stage.alpha, "tools/list", "tools", tools("a1"), tools("a2"), tools("a3"))
        lists(stage.beta, "tools/list", "tools", tools("b1"), tools("b2"))
        async with connected(stage.joint, mode) as client:
            pages: list[list[str]] = []
            cursor: str | None = None
            while True:
                page = await client.list_tools(cursor=cursor)
                pages.append([tool.name for tool in page.tools])
                cursor = page.next_cursor
                if cursor is None:
                    break
    assert pages == [["alpha__a1", "beta__b1"], ["alpha__a2", "beta__b2"], ["alpha__a3"]]


async def test_a_definition_differs_in_nothing_but_its_name() -> None:
    async with raw() as stage:
        lists(stage.alpha, "tools/list", "tools", [TOOL])
        lists(stage.beta, "tools/list", "tools", [TOOL])
        listed = (await stage.client.call("tools/list"))["result"]
        assert listed == {"tools": [{**TOOL, "name": "alpha__odd"}, {**TOOL, "name": "beta__odd"}]}


async def test_a_cursor_that_was_not_given_asks_no_server_anything() -> None:
    async with raw() as stage:
        lists(stage.alpha, "tools/list", "tools", tools("a1"), tools("a2"))
        lists(stage.beta, "tools/list", "tools", tools("b1"))
        cursor = (await stage.client.call("tools/list"))["result"]["nextCursor"]
        asked = len(sent(stage.alpha, "tools/list"))
        for method, wrong in [("tools/list", "1"), ("tools/list", ""), ("tools/list", None), ("prompts/list", cursor)]:
            answer = await stage.client.call(method, {"cursor": wrong})
            assert answer["error"]["code"] == -32602
        bob = RawClient(stage.http, stage.client.url)
        stage.http.headers["authorization"] = "Bearer wk_bob"
        await bob.initialize()
        assert (await bob.call("tools/list", {"cursor": cursor}))["error"]["code"] == -32602
        assert len(sent(stage.alpha, "tools/list")) == asked
        stage.http.headers["authorization"] = "Bearer wk_alice"
        assert names_in(await stage.client.call("tools/list", {"cursor": cursor})) == ["alpha__a2"]
        assert len(sent(stage.beta, "tools/list")) == 1


async def test_entries_that_nothing_could_name_are_left_out() -> None:
    async with raw() as stage:
        lists(stage.alpha, "tools/list", "tools", [*tools("a", "a"), {"name": ""}, {"x": 1}, {"name": 7}])
        lists(stage.beta, "tools/list", "tools", [])
        assert names_in(await stage.client.call("tools/list")) == ["alpha__a"]


async def test_a_server_that_does_not_answer_in_time_is_missing() -> None:
    async with raw(limits=Limits(connect_seconds=0.2)) as stage:

        async def silent(call: Call) -> None:
            await call.until_left()

        stage.alpha.handlers["tools/list"] = silent
        lists(stage.beta, "tools/list", "tools", tools("b"))
        answer = await stage.client.call("tools/list")
        assert names_in(answer) == ["beta__b"]
        assert answer["result"]["_meta"][MISSING_KEY] == {"alpha": "server `alpha` did not answer in time"}


async def test_an_error_of_one_server_makes_it_missing_and_an_unknown_list_makes_it_empty() -> None:
    async with raw() as stage:

        def failing(code: int) -> Any:
            async def fail(call: Call) -> None:
                await call.reply(
                    b'{"jsonrpc":"2.0","id":"%s","error":{"code":%d,"message":"x"}}' % (call.id.encode(), code)
                )

            return fail

        stage.alpha.handlers["tools/list"] = failing(-32603)
        stage.beta.handlers["tools/list"] = failing(-32601)
        answer = await stage.client.call("tools/list")
        assert answer["result"]["tools"] == []
        assert answer["result"]["_meta"][MISSING_KEY] == {"alpha": "server `alpha` answered with an error"}
        stage.beta.handlers["tools/list"] = failing(-32603)
        answer = await stage.client.call("tools/list")
        assert answer["error"]["message"] == "server `alpha` answered with an error"


async def test_a_list_is_asked_for_again_where_the_server_lost_the_session() -> None:
    async with raw() as stage:
        lists(stage.alpha, "tools/list", "tools", tools("a"))
        lists(stage.beta, "tools/list", "tools", tools("b"))
        stage.alpha.sessions.clear()
        assert names_in(await stage.client.call("tools/list")) == ["alpha__a", "beta__b"]
        assert len(sent(stage.alpha, "initialize")) == 2
        assert len(sent(stage.beta, "initialize")) == 1


async def test_a_shortened_name_is_found_on_a_later_page_of_its_server_only() -> None:
    async with raw() as stage:
        odd = "b.2"
        lists(stage.beta, "prompts/list", "prompts", [{"name": "b1"}], [{"name": odd}])
        answer = await stage.client.call("prompts/get", {"name": exposed("beta", odd)})
        assert answer["result"]["echo"] == {"name": odd}
        assert not sent(stage.alpha, "prompts/list")
        unknown = await stage.client.call("prompts/get", {"name": exposed("beta", "b.3")})
        assert unknown["error"]["code"] == -32602
        assert len(sent(stage.beta, "prompts/list")) == 2


async def test_a_resource_that_a_result_links_to_is_read_from_its_server() -> None:
    async with raw() as stage:
        for one in stage.both:
            lists(one, "resources/list", "resources", [])
            lists(one, "resources/templates/list", "resourceTemplates", [])

        async def linking(call: Call) -> None:
            await call.reply(call.result({"content": [{"type": "resource_link", "uri": "made://up", "name": "x"}]}))

        stage.beta.handlers["tools/call"] = linking
        missing = await stage.client.call("resources/read", {"uri": "made://up"})
        assert missing["error"] == {"code": -32002, "message": "no such resource here"}
        await stage.client.tool("beta__make")
        assert (await stage.client.call("resources/read", {"uri": "made://up"}))["result"]["echo"] == {
            "uri": "made://up"
        }
        assert not sent(stage.alpha, "resources/read")


async def test_the_page_of_a_tool_is_read_from_its_server() -> None:
    async with raw() as stage:
        page = {"name": "t", "inputSchema": {}, "_meta": {"ui": {"resourceUri": "ui://page"}}}
        lists(stage.alpha, "tools/list", "tools", [])
        lists(stage.beta, "tools/list", "tools", [page])
        await stage.client.call("tools/list")
        assert "result" in await stage.client.call("resources/read", {"uri": "ui://page"})
        assert len(sent(stage.beta, "resources/read")) == 1


async def test_a_modern_list_is_complete_private_and_lives_as_its_shortest_part() -> None:
    async with raw() as stage:

        async def listing(call: Call) -> None:
            life = {"tools": tools("t"), "resultType": "complete", "ttlMs": 5000, "cacheScope": "public"}
            await call.reply(call.result(life))

        stage.alpha.handlers["tools/list"] = stage.beta.handlers["tools/list"] = listing
        status, answer = await modern(stage.client, "tools/list", {})
        assert status == 200
        assert names_in(answer) == ["alpha__t", "beta__t"]
        life = {name: answer["result"][name] for name in ("resultType", "ttlMs", "cacheScope")}
        assert life == {"resultType": "complete", "ttlMs": 5000, "cacheScope": "private"}
        assert answer["id"] == 5
        (call,) = [one for one in stage.beta.calls if one.message.get("method") == "tools/list"]
        assert call.headers["mcp-method"] == "tools/list"


async def test_servers_are_asked_at_the_same_time() -> None:
    async with raw() as stage:
        both = [anyio.Event(), anyio.Event()]

        def meeting(mine: anyio.Event, other: anyio.Event) -> Any:
            async def handler(call: Call) -> None:
                mine.set()
                await other.wait()
                await call.reply(call.result({"tools": []}))

            return handler

        stage.alpha.handlers["tools/list"] = meeting(both[0], both[1])
        stage.beta.handlers["tools/list"] = meeting(both[1], both[0])
        assert names_in(await stage.client.call("tools/list")) == []
