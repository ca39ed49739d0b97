"""The MCP proxy as an OAuth resource server: who is told what, who gets in, and that no token goes any further."""

import json
import logging
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from governance.clock import SystemClock
from governance.config.authorization import OAuth
from governance.identity.refusals import TokenError, UnknownKeyError
from mcp_proxy.protected_resource import WELL_KNOWN, ProtectedResource
from tests.mcp_proxy.harness import raw_client
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.signed_in import House, Shelf, housed, sdk_sign_in

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


async def asked(house: House, credential: str, server: str = "up", **headers: str) -> tuple[int, str, dict[str, Any]]:
    """How a POST with a credential is answered: status, challenge, body."""
    async with raw_client() as http:
        client = RawClient(http, house.at(server))
        async with client.send(PING, authorization=f"Bearer {credential}", **headers) as response:
            return response.status, response.headers.get("www-authenticate", ""), json.loads(await response.read())


@pytest.mark.parametrize("path", ["", "/mcp", "/mcp/up", "/mcp/never-heard-of"])
async def test_anybody_may_ask_whose_tokens_are_believed(tmp_path: Path, path: str):
    async with housed(tmp_path) as house, httpx2.AsyncClient() as http:
        answer = await http.get(f"{house.url}{WELL_KNOWN}{path}")
        assert answer.status_code == 200
        assert answer.json() == {
            "resource": f"{house.url}{path}",
            "authorization_servers": [house.authority.url],
            "scopes_supported": ["mcp:use"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Wicket",
        }
        assert (await http.head(f"{house.url}{WELL_KNOWN}{path}")).content == b""
        assert (await http.post(f"{house.url}{WELL_KNOWN}{path}")).status_code == 404
        assert (await http.get(f"{house.url}{WELL_KNOWN}/other{path}")).status_code == 404


@pytest.mark.parametrize(
    ("path", "resource"),
    [("/mcp/sse", "/mcp"), ("/mcp/messages", "/mcp"), ("/mcp/up/sse", "/mcp/up"), ("/mcp/sse/sse", "/mcp/sse")],
)
async def test_an_old_endpoint_is_the_same_resource_as_the_new_one(tmp_path: Path, path: str, resource: str):
    async with housed(tmp_path) as house, httpx2.AsyncClient() as http:
        assert (await http.get(f"{house.url}{WELL_KNOWN}{path}")).json()["resource"] == f"{house.url}{resource}"


async def test_a_stranger_is_told_where_to_get_a_token(tmp_path: Path):
    async with housed(tmp_path) as house, httpx2.AsyncClient() as http:
        answer = await http.post(house.at(), content=PING, headers={"content-type": "application/json"})
        where = f"{house.url}{WELL_KNOWN}/mcp/up"
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == (
            f'Bearer realm="wicket", resource_metadata="{where}", scope="mcp:use"'
        )
        assert (await http.get(where)).json()["resource"] == house.at()


async def test_a_bad_token_is_told_why_and_is_written_down_without_itself(tmp_path: Path, caplog: Any):
    async with housed(tmp_path) as house:
        token = house.token(exp=1)
        status, challenge, body = await asked(house, token)
        assert (status, body["error"]["data"]) == (401, {"wicket": "unauthenticated"})
        assert 'error="invalid_token", error_description="the access token has expired"' in challenge
        assert [problem.code for problem in house.refused] == ["unauthenticated"]
        assert token not in f"{challenge}{body}{caplog.text}{house.refused!r}"
        assert house.upstream.calls == []


async def test_a_token_without_the_scope_is_told_which_it_needs(tmp_path: Path):
    async with housed(tmp_path) as house:
        status, challenge, body = await asked(house, house.token(scope="other"))
        assert (status, body["error"]["data"]) == (403, {"wicket": "insufficient_scope"})
        assert 'scope="mcp:use", error="insufficient_scope"' in challenge
        assert f'resource_metadata="{house.url}{WELL_KNOWN}/mcp/up"' in challenge


async def test_a_token_for_one_server_opens_no_other(tmp_path: Path):
    async with housed(tmp_path) as house:
        good, other = house.token(aud=house.at()), house.token(aud=house.at("other"))
        assert (await asked(house, good))[0] == 200
        assert (await asked(house, other))[0] == 404


async def test_gateway_keys_go_on_working_beside_tokens(tmp_path: Path):
    async with housed(tmp_path) as house:
        assert (await asked(house, house.key))[0] == 200
        assert (await asked(house, house.token()))[0] == 200
        assert (await asked(house, "wk_unknown"))[0] == 401
        assert (await asked(house, "a.b.c"))[0] == 401


async def test_the_official_client_signs_in_through_the_front(tmp_path: Path):
    async with housed(tmp_path) as house:
        authority, shelf = house.authority, Shelf()

        def mint(form: dict[str, str]) -> str:
            return authority.token(SystemClock().now(), aud=form["resource"], scope="mcp:use")

        async def tools(call: Call) -> None:
            await call.reply(call.result({"tools": []}))

        authority.mint, house.upstream.handlers["tools/list"] = mint, tools
        async with (
            httpx2.AsyncClient(auth=sdk_sign_in(house.at(), shelf)) as http,
            Client(streamable_http_client(house.at(), http_client=http), mode="legacy") as client,
        ):
            await client.list_tools()
        assert authority.authorized[0]["resource"] == house.at()
        assert authority.authorized[0]["scope"] == "mcp:use"
        assert shelf.tokens is not None
        assert house.gate.admitted[0].principal.agent == "agent-7"
        assert house.upstream.calls
        for call in house.upstream.calls:
            assert shelf.tokens.access_token not in str(call.headers)


async def test_the_official_client_signs_in_at_the_endpoint_of_all_servers(tmp_path: Path):
    async with housed(tmp_path) as house:
        authority, shelf = house.authority, Shelf()

        async def tools(call: Call) -> None:
            await call.reply(call.result({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}))

        def mint(form: dict[str, str]) -> str:
            return authority.token(SystemClock().now(), aud=form["resource"], scope="mcp:use")

        authority.mint, house.upstream.handlers["tools/list"] = mint, tools
        url = f"{house.url}/mcp"
        async with (
            httpx2.AsyncClient(auth=sdk_sign_in(url, shelf)) as http,
            Client(streamable_http_client(url, http_client=http), mode="legacy") as client,
        ):
            assert [tool.name for tool in (await client.list_tools()).tools] == ["up__echo"]
        assert authority.authorized[0]["resource"] == url


async def test_the_token_never_goes_upstream(tmp_path: Path):
    async with housed(tmp_path) as house:
        token = house.token()
        await asked(house, token, x_api_key=token, cookie=f"t={token}")
        assert house.upstream.calls
        for call in house.upstream.calls:
            assert "authorization" not in call.headers
            assert token not in str(call.headers) + str(call.message)


async def test_a_token_that_came_in_goes_out_as_another_one(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with housed(tmp_path, exchanges=True) as house:
        token, later = house.token(), house.token(jti="later")
        assert [(await asked(house, one))[0] for one in (token, later)] == [200, 200]
        assert house.shown == [f"Bearer {house.authority.issued[0]}"] * 2
        assert house.authority.forms[0]["subject_token"] == token
        _, _, body = await asked(house, house.key)
        assert "not with a gateway key" in body["error"]["message"]
        told = f"{caplog.text} {body} {await house.world.events()}"
    on_disk = b"".join([await path.read_bytes() async for path in anyio.Path(tmp_path).glob("wicket.db*")])
    for secret in (token, later, *house.authority.issued):
        assert secret not in told
        assert secret.encode() not in on_disk


async def test_a_lesser_token_is_served_by_nothing_that_a_wider_one_was_exchanged_for(tmp_path: Path):
    """Neither by what is remembered of the exchange, nor in a session that the wider one opened."""
    async with housed(tmp_path, exchanges=True) as house, raw_client() as http:
        wide, lesser = (
            house.token(scope="mcp:use files:write"),
            house.token(exp=int(SystemClock().now().timestamp()) + 30),
        )
        again = house.token(scope="files:write mcp:use", jti="renewed")
        assert [(await asked(house, one))[0] for one in (wide, lesser, again)] == [200, 200, 200]
        assert [form["subject_token"] for form in house.authority.forms] == [wide, lesser]
        assert house.shown == [f"Bearer {house.authority.issued[number]}" for number in (0, 1, 0)]
        client = RawClient(http, house.at())
        http.headers["authorization"] = f"Bearer {wide}"
        await client.initialize()
        for token, status in ((lesser, 404), (again, 200)):
            async with client.send(PING, authorization=f"Bearer {token}") as response:
                assert response.status == status


@pytest.mark.parametrize("lesser", [{"scope": "mcp:use"}, {"authorization_details": []}, {"roles": ["reader"]}])
async def test_what_a_token_was_granted_for_is_told_by_more_than_its_scopes(tmp_path: Path, lesser: Any):
    async with housed(tmp_path, exchanges=True) as house:
        granted = {"scope": "mcp:use files:write", "authorization_details": [{"type": "x"}], "roles": ["writer"]}
        for token in (house.token(**granted), house.token(**granted | lesser)):
            assert (await asked(house, token))[0] == 200
        assert len(house.authority.issued) == 2


async def test_a_token_that_only_its_issuer_can_read_gets_in_until_it_is_revoked(tmp_path: Path, caplog: Any):
    async with housed(tmp_path, asks=True, exchanges=True) as house:
        said = {"sub": "ann", "client_id": "agent-7", "aud": house.at(), "scope": "mcp:use"}
        house.authority.opaque = {"opaque-1": said, "opaque-2": {**said, "sub": "eve"}}
        assert (await asked(house, "opaque-1"))[0] == 200
        assert house.authority.forms[0]["subject_token"] == "opaque-1"
        async with raw_client() as http:
            client = RawClient(http, house.at())
            http.headers["authorization"] = "Bearer opaque-1"
            await client.initialize()
            async with client.send(PING, authorization="Bearer opaque-2") as response:
                assert response.status == 404
        house.authority.opaque.clear()
        status, challenge, body = await asked(house, "opaque-1")
        assert (status, 'error="invalid_token"' in challenge) == (401, True)
        house.authority.is_down = True
        assert (await asked(house, "opaque-3"))[0] == 503
        told = f"{caplog.text} {challenge} {body} {house.refused!r} {await house.world.events()}"
    on_disk = b"".join([await path.read_bytes() async for path in anyio.Path(tmp_path).glob("wicket.db*")])
    assert ("opaque-" in told, b"opaque-" in on_disk) == (False, False)


async def test_no_issuer_is_asked_about_what_is_a_key_of_wicket_or_looks_like_one(tmp_path: Path):
    async with housed(tmp_path, asks=True) as house:
        assert (await asked(house, house.key))[0] == 200
        for credential in (house.world.runtime.identity.admin_token, "wk_mistyped", "wka_mistyped", "two words"):
            assert (await asked(house, credential))[0] == 401
        assert house.authority.questions == []
        assert (await asked(house, "opaque-1"))[0] == 401
        assert len(house.authority.questions) == 1


async def test_a_session_is_found_by_later_tokens_of_its_principal_and_by_nobody_else(tmp_path: Path):
    async with housed(tmp_path) as house, raw_client() as http:
        client = RawClient(http, house.at())
        http.headers["authorization"] = f"Bearer {house.token(jti='1')}"
        await client.initialize()
        for claims, status in (({"jti": "2"}, 200), ({"sub": "eve"}, 404), ({"client_id": "other"}, 404)):
            async with client.send(PING, authorization=f"Bearer {house.token(**claims)}") as response:
                assert response.status == status
        async with client.send(PING, authorization=f"Bearer {house.key}") as response:
            assert response.status == 404


async def test_the_old_stream_of_one_principal_takes_no_message_of_another(tmp_path: Path):
    async with housed(tmp_path) as house, raw_client() as http:
        mine, eves = ({"authorization": f"Bearer {house.token(sub=who)}"} for who in ("ann", "eve"))
        async with http.get(f"{house.at()}/sse", headers={**mine, "accept": "text/event-stream"}) as stream:
            first = await stream.content.readany()
            address = house.url + first.decode().partition("data: ")[2].strip()
            async with http.post(address, data=PING, headers=eves) as answer:
                assert answer.status == 404
            async with http.post(address, data=PING, headers=mine) as answer:
                assert answer.status == 202


def test_without_an_issuer_nothing_is_described_and_the_challenge_is_plain():
    resource = ProtectedResource(OAuth())
    assert resource.metadata(WELL_KNOWN) is None
    told = resource.challenge(UnknownKeyError("no key"), "/mcp/up", has_key=False)
    assert (told.status, told.challenge) == (401, 'Bearer realm="wicket"')


def test_what_is_told_cannot_leave_its_quotes():
    resource = ProtectedResource(OAuth.model_validate({"resource": "https://w", "issuers": [{"issuer": "https://i"}]}))
    told = resource.challenge(TokenError('a "b"'), "/mcp/up", has_key=True).challenge
    assert told.endswith("error_description=\"a 'b'\"")
