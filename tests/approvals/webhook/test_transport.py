"""Configured addresses cannot be turned against the inside."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from approvals.webhook.transport import BlockedError, check_url, client
from tests.approvals.webhook.receiver import Receiver

Resolver = Callable[[str, int], Awaitable[list[str]]]


def resolving_to(*addresses: str) -> Resolver:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "https://user@hooks.example.com/",
        "https://user:secret@hooks.example.com/",
        "https://8.8.8.8@127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0x7f.1/",
        "https://010.8.8.8/",
        "https:///nowhere",
    ],
)
def test_an_address_that_is_not_plain_is_refused(url: str) -> None:
    with pytest.raises((BlockedError, httpx.InvalidURL)):
        check_url(httpx.URL(url), frozenset())


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/a?b", "https://8.8.8.8/", "https://hooks.example.com:8443/"]
)
def test_a_plain_https_address_is_allowed(url: str) -> None:
    check_url(httpx.URL(url), frozenset())


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("::ffff:10.0.0.1",), ("169.254.169.254",), ("fe80::1",)]
)
async def test_a_name_with_one_address_inside_is_not_called(receiver: Receiver, addresses: tuple[str, ...]) -> None:
    async with client(resolver=resolving_to(*addresses)) as http:
        with pytest.raises(BlockedError, match="not public"):
            await http.post(f"https://receiver.test:{receiver.port}/")
    assert receiver.received == []


async def test_the_checked_address_is_called_with_the_name_of_the_url(receiver: Receiver) -> None:
    async with client(("Receiver.Test.",), resolver=resolving_to("127.0.0.1")) as http:
        answer = await http.post(receiver.url, content=b"{}")
    assert answer.status_code == 204
    assert receiver.received[0][0]["host"] == f"receiver.test:{receiver.port}"


async def test_the_name_is_resolved_once_for_each_request(receiver: Receiver) -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with client(("receiver.test",), resolver=rebinding) as http:
        await http.post(receiver.url)
    assert asked == ["receiver.test"]


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.statuses = [307]
    async with client(("receiver.test",), resolver=resolving_to("127.0.0.1")) as http:
        assert (await http.post(receiver.url)).status_code == 307
    assert len(receiver.received) == 1


async def test_a_proxy_of_the_environment_is_ignored(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with client(("receiver.test",), resolver=resolving_to("127.0.0.1")) as http:
        assert (await http.post(receiver.url)).status_code == 204


async def test_a_name_that_does_not_resolve_is_a_failed_connection() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError

    async with client(resolver=unknown) as http:
        with pytest.raises(httpx.ConnectError, match="does not resolve"):
            await http.post("https://nowhere.test/")


async def test_an_ipv6_address_can_be_called_by_name() -> None:
    async with client(("localhost",), resolver=resolving_to("::1")) as http:
        with pytest.raises(httpx.ConnectError):
            await http.post("http://localhost:1/")
