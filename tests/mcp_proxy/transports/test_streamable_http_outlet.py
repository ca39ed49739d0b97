"""One HTTP response of the Streamable HTTP front."""

import json

import anyio

from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import staged


async def test_a_header_of_the_server_that_is_no_plain_text_is_left_out_and_its_answer_arrives() -> None:
    async def busy(call: Call) -> None:
        error = {"jsonrpc": "2.0", "id": call.id, "error": {"code": 1, "message": "busy"}}
        await call.reply(json.dumps(error).encode(), status=429, headers={"retry-after": "später", "allow": "POST"})

    with anyio.fail_after(20):
        async with staged() as stage:
            stage.upstream.handlers["prompts/list"] = busy
            async with stage.client.post("prompts/list") as response:
                assert response.status == 429
                assert (await response.json())["error"]["message"] == "busy"
                assert "retry-after" not in response.headers
                assert response.headers["allow"] == "POST"
