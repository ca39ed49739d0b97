"""The gateway as clients see it: paths, methods, keys, lists."""

import httpx
import pytest

from gateway.app import open_gateway
from tests.gateway.house import KEY, House, config_for, serving
from tests.gateway.provider import Provider
from tests.gateway.samples import CHAT_ANSWER

BEARER = {"authorization": f"Bearer {KEY}"}
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


async def test_agents_may_knock_without_a_key(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as client:
        for path in ("/", "/api/hello", "/healthz", "/readyz"):
            answer = await client.head(path)
            assert (answer.status_code, answer.content) == (200, b"")


async def test_without_knowledge_of_keys_it_is_not_ready_and_never_says_401(house: House) -> None:
    house.keys_are_stale = True
    async with httpx.AsyncClient(base_url=house.url) as client:
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.post("/v1/chat/completions", json=CHAT, headers=BEARER)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "keys_unavailable")
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    "where",
    [
        {"headers": {"authorization": f"Bearer {KEY}"}},
        {"headers": {"authorization": f"bearer  {KEY}"}},
        {"headers": {"x-api-key": KEY}},
        {"headers": {"x-goog-api-key": KEY}},
        {"params": {"key": KEY}},
    ],
)
async def test_a_key_is_taken_from_each_place_and_goes_no_further(
    house: House, provider: Provider, where: dict[str, dict[str, str]]
) -> None:
    provider.answers(CHAT_ANSWER)
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.post("/v1/chat/completions", json=CHAT, **where)  # pyright: ignore[reportArgumentType] - httpx takes either
    assert answer.status_code == 200
    assert KEY not in repr(provider.last)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}])
async def test_without_a_valid_key_nothing_is_forwarded(
    house: House, provider: Provider, headers: dict[str, str]
) -> None:
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert provider.received == []
    assert [draft.tag.value for draft in house.drafts] == ["request.unauthenticated"]


async def test_an_unknown_path_is_refused_in_the_shape_of_the_caller(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as client:
        openai_like = await client.post("/v1/nothing", headers=BEARER)
        anthropic_like = await client.post("/v1/nothing", headers={"x-api-key": KEY})
    assert (openai_like.status_code, openai_like.json()["error"]["code"]) == (404, "not_found")
    assert (anthropic_like.status_code, anthropic_like.json()["error"]["type"]) == (404, "not_found_error")


async def test_a_wrong_method_says_which_is_right(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.get("/v1/chat/completions", headers=BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_websocket_upgrade_is_answered_426(house: House) -> None:
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.get("/v1/responses", headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (426, "close")
    assert answer.json()["error"]["code"] == "upgrade_refused"


async def test_an_upgrade_without_a_websocket_library_is_answered_426(provider: Provider) -> None:
    house = House(config_for(provider.url))
    async with (
        open_gateway(house) as app,
        serving(app, ws="none") as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        answer = await client.get("/v1/responses", headers={"connection": "Upgrade", "upgrade": "websocket"})
        assert answer.status_code == 426


async def test_a_strange_host_is_refused_and_recorded(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as client:
        answer = await client.post("/v1/messages", headers={"host": "evil.example"}, json=CHAT)
    assert (answer.status_code, answer.json()["error"]["type"]) == (421, "invalid_request_error")
    assert [draft.fields["code"] for draft in house.drafts] == ["host"]


async def test_models_are_listed_in_both_shapes(house: House, provider: Provider) -> None:
    provider.answers(b'{"data":[{"id":"gpt-4o","object":"model","created":7,"owned_by":"x"},{"id":"claude-3"}]}')
    async with httpx.AsyncClient(base_url=house.url) as client:
        listed = (await client.get("/v1/models", headers=BEARER)).json()
        paged = (await client.get("/v1/models?limit=1000", headers={"x-api-key": KEY})).json()
        one = (await client.get("/v1/models/gpt-4o", headers=BEARER)).json()
        none = await client.get("/v1/models/other", headers=BEARER)
    assert listed["data"] == [
        {"id": "gpt-4o", "object": "model", "created": 7, "owned_by": "x"},
        {"id": "claude-3", "object": "model", "created": 0, "owned_by": "claude"},
    ]
    assert [model["id"] for model in paged["data"]] == ["gpt-4o", "claude-3"]
    assert (paged["has_more"], paged["first_id"], paged["data"][0]["type"]) == (False, "gpt-4o", "model")
    assert one == listed["data"][0]
    assert none.status_code == 404
    assert len(provider.received) == 2


async def test_a_key_sees_only_the_models_it_covers(house: House, provider: Provider) -> None:
    house.models = ("claude-*",)
    provider.answers(b'{"data":[{"id":"gpt-4o"},{"id":"claude-3"}]}')
    async with httpx.AsyncClient(base_url=house.url) as client:
        listed = (await client.get("/v1/models", headers=BEARER)).json()
    assert [model["id"] for model in listed["data"]] == ["claude-3"]


async def test_a_provider_that_lists_nothing_leaves_the_others_listed(house: House, provider: Provider) -> None:
    provider.answers(b"<html>", 500)
    async with httpx.AsyncClient(base_url=house.url) as client:
        listed = await client.get("/v1/models", headers=BEARER)
    assert (listed.status_code, listed.json()["data"]) == (200, [])


async def test_lists_need_a_key(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as client:
        assert (await client.get("/v1/models")).status_code == 401
