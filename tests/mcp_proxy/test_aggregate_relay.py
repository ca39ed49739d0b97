"""Many servers behind one endpoint, as official clients of both eras see them."""

from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.sse import sse_client

from mcp_proxy.aggregate import LONGEST, MISSING_KEY
from tests.mcp_proxy.joint import ERAS, MODERN, NOWHERE, connected, official, raw, sent, text_of
from tests.mcp_proxy.joint_servers import LONG
from tests.mcp_proxy.stage import modern


@pytest.mark.parametrize("mode", [*ERAS, "auto"])
async def test_tools_of_all_servers_are_listed_and_called_by_names_of_both(mode: Any) -> None:
    async with official() as joint, connected(joint, mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names[:2] != names[5:7]
        assert [name for name in names if "whoami" in name] == ["alpha__whoami", "beta__whoami"]
        assert names == [tool.name for tool in (await client.list_tools()).tools]
        for server in ("alpha", "beta"):
            assert text_of(await client.call_tool(f"{server}__whoami", {})) == server
    assert [one for one in joint.asked if one[1]] == [("alpha", "whoami"), ("beta", "whoami")]
    assert {server for server, _ in joint.asked} == {"alpha", "beta"}


@pytest.mark.parametrize("mode", ERAS)
async def test_a_name_too_long_for_clients_is_shortened_and_still_called(mode: Any) -> None:
    async with official() as joint:
        async with connected(joint, mode) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
        shortened = [name for name in names if name.split("__")[1].startswith("a_tool")]
        assert len(shortened) == 2
        assert all(len(name) <= LONGEST for name in names)
        async with connected(joint, mode) as client:
            assert [text_of(await client.call_tool(name, {})) for name in shortened] == [
                "long of alpha",
                "long of beta",
            ]
            with pytest.raises(MCPError, match="no such tool"):
                await client.call_tool(f"alpha__{LONG}", {})
    assert [one for one in joint.asked if one[1]] == [("alpha", LONG), ("beta", LONG)]


@pytest.mark.parametrize("mode", ERAS)
async def test_prompts_of_all_servers_are_listed_got_and_completed(mode: Any) -> None:
    async with official() as joint, connected(joint, mode) as client:
        assert [one.name for one in (await client.list_prompts()).prompts] == ["alpha__greet", "beta__greet"]
        for server in ("alpha", "beta"):
            got = (await client.get_prompt(f"{server}__greet", {"who": "you"})).messages[0].content
            assert isinstance(got, types.TextContent)
            assert got.text == f"{server} greets you"
            ref = types.PromptReference(type="ref/prompt", name=f"{server}__greet")
            completed = await client.complete(ref, {"name": "who", "value": "x"})
            assert completed.completion.values == [f"{server} completes who"]
            template = types.ResourceTemplateReference(type="ref/resource", uri=f"{server}://item/{{key}}")
            completed = await client.complete(template, {"name": "key", "value": "x"})
            assert completed.completion.values == [f"{server} completes key"]
    assert ("beta", "greet") in joint.asked
    assert not any("__" in name for _, name in joint.asked)


@pytest.mark.parametrize("mode", ERAS)
async def test_a_resource_is_read_from_the_server_that_listed_it(mode: Any) -> None:
    async with official() as joint, connected(joint, mode) as client:

        async def read(uri: str) -> str:
            first = (await client.read_resource(uri)).contents[0]
            assert isinstance(first, types.TextResourceContents)
            return first.text

        assert await read("note://beta/own") == "own note of beta"  # nothing was listed yet: it is looked for
        listed = await client.list_resources()
        assert [one.uri for one in listed.resources] == ["note://alpha/own", "note://shared", "note://beta/own"]
        assert listed.meta is not None
        assert listed.meta["wicket/hidden"] == ["note://shared of beta"]
        assert await read("note://shared") == "shared note of alpha"
        templates = (await client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == ["alpha://item/{key}", "beta://item/{key}"]
        assert await read("beta://item/7") == "item 7 of beta"
        with pytest.raises(MCPError, match="no such resource"):
            await client.read_resource("note://nowhere")


@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_that_is_down_does_not_take_the_others_down(mode: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with official(down={"type": "http", "url": NOWHERE}) as joint, connected(joint, mode) as client:
        listed = await client.list_tools()
        assert {tool.name.split("__")[0] for tool in listed.tools} == {"alpha", "beta"}
        assert listed.meta is not None
        assert listed.meta[MISSING_KEY] == {"down": "server `down` cannot be reached"}
        assert "server down is missing" in caplog.text
        assert text_of(await client.call_tool("beta__whoami", {})) == "beta"
        with pytest.raises(MCPError, match="`down` cannot be reached"):
            await client.call_tool("down__anything", {})
        if mode != MODERN:  # a client that is sure of the revision asks for no introduction
            assert "Not available now: `down`" in (client.instructions or "")


async def test_the_introduction_is_the_union_of_all_servers() -> None:
    async with official() as joint:
        for mode in ("legacy", "auto"):
            async with connected(joint, mode) as client:
                assert client.server_info is not None
                assert client.server_info.name == "wicket"
                assert "`alpha`, `beta`" in (client.instructions or "")
                assert "beta is here" in (client.instructions or "")
                assert client.server_capabilities is not None
                assert client.server_capabilities.prompts is not None


@pytest.mark.parametrize("mode", ERAS)
async def test_progress_of_each_server_reaches_its_own_call(mode: Any) -> None:
    seen: dict[str, list[str | None]] = {"alpha": [], "beta": []}

    async with official() as joint, connected(joint, mode) as client:

        async def work(server: str) -> None:
            async def note(progress: float, total: float | None, message: str | None) -> None:
                seen[server].append(message)

            assert text_of(await client.call_tool(f"{server}__work", {}, progress_callback=note)) == "done"

        async with anyio.create_task_group() as group:
            for server in seen:
                group.start_soon(work, server)
    assert seen == {server: [f"{server} works"] * 3 for server in seen}


async def test_a_question_is_answered_to_the_server_that_asked() -> None:
    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"word": f"re: {params.message}"})

    async with official() as joint, connected(joint, "legacy", elicitation_callback=answer) as client:
        heard: dict[str, str] = {}

        async def ask(server: str) -> None:
            heard[server] = text_of(await client.call_tool(f"{server}__ask", {}))

        async with anyio.create_task_group() as group:
            group.start_soon(ask, "alpha")
            group.start_soon(ask, "beta")
    assert heard == {server: f"{server} heard re: {server} asks" for server in ("alpha", "beta")}


@pytest.mark.parametrize("mode", ERAS)
async def test_a_principal_sees_only_the_servers_that_are_its_own(mode: Any) -> None:
    async with official() as joint, connected(joint, mode, "wk_bob") as client:
        assert {tool.name.split("__")[0] for tool in (await client.list_tools()).tools} == {"beta"}
        assert text_of(await client.call_tool("beta__whoami", {})) == "beta"
        assert "alpha" not in (client.instructions or "")
        for attempt in (client.call_tool("alpha__whoami", {}), client.get_prompt("alpha__greet", {"who": "x"})):
            with pytest.raises(MCPError, match="no such"):
                await attempt
    assert {server for server, _ in joint.asked} == {"beta"}
    assert [problem.code for problem in joint.refused] == ["name", "name"]


async def test_a_principal_without_any_server_finds_no_endpoint() -> None:
    async with raw() as stage:
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
        async with stage.client.send(body, authorization="Bearer wk_carol") as response:
            assert response.status == 404


async def test_an_old_client_reaches_all_servers_over_sse() -> None:
    async with official() as joint:
        headers = {"authorization": "Bearer wk_alice"}
        async with Client(sse_client(f"{joint.url}/mcp/sse", headers=headers), mode="legacy") as client:
            assert len((await client.list_tools()).tools) == 10
            assert text_of(await client.call_tool("beta__whoami", {})) == "beta"


async def test_the_header_that_repeats_a_name_is_checked_and_rewritten() -> None:
    async with raw() as stage:
        status, _ = await modern(stage.client, "tools/call", {"name": "beta__echo", "arguments": {}})
        assert status == 200
        (call,) = [one for one in stage.beta.calls if one.message.get("method") == "tools/call"]
        assert (call.headers["mcp-name"], call.params["name"]) == ("echo", "echo")
        status, answer = await modern(stage.client, "tools/call", {"name": "beta__echo"}, mcp_name="echo")
        assert (status, answer["error"]["code"]) == (400, -32020)
        status, answer = await modern(stage.client, "tools/call", {"name": "beta__echo"}, mcp_param_x="unsaid")
        assert (status, answer["error"]["code"]) == (400, -32020)


async def test_unknown_tasks_and_methods_are_told_to_nobody() -> None:
    async with raw() as stage:
        assert (await stage.client.call("tasks/get", {"taskId": "1"}))["error"]["code"] == -32602
        assert (await stage.client.call("tasks/update", {"taskId": "1"}))["error"]["code"] == -32601
        assert (await stage.client.call("vendor/x"))["error"]["code"] == -32601
        task = await stage.client.tool("beta__echo", {}, task={"ttl": 1})
        assert (task["error"]["code"], "makes no tasks" in task["error"]["message"]) == (-32601, True)
        assert not any(sent(one, method) for one in stage.both for method in ("tasks/get", "vendor/x", "tools/call"))
        assert (await stage.client.call("ping"))["result"] == {}


async def test_an_error_of_a_server_arrives_as_it_is() -> None:
    async with raw() as stage:

        async def fail(call: Any) -> None:
            await call.reply(b'{"jsonrpc":"2.0","id":%d,"error":{"code":7,"message":"no","data":{"x":1.0}}}' % call.id)

        stage.beta.handlers["tools/call"] = fail
        assert (await stage.client.tool("beta__x"))["error"] == {"code": 7, "message": "no", "data": {"x": 1.0}}
