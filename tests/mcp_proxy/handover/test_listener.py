"""Who may hand over an agent, and what happens to those who may not: they serve by themselves."""

import json
import os
import socket
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_proxy.handover import wire
from mcp_proxy.handover.listener import DeclinedError, Guest, Terms, listening
from mcp_proxy.handover.sender import Hello, hand_over

TERMS = Terms("home", "digest")
HELLO = Hello("home", "digest", "files", "key")


@pytest.fixture
def place() -> Generator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # the one of pytest may be too long an address
        yield Path(folder) / wire.SOCKET


async def declined(guest: Guest) -> int:
    raise DeclinedError(3, f"no agent with `{guest.key}` for `{guest.server}`")


async def handed(place: Path, hello: Hello = HELLO) -> Any:
    with anyio.fail_after(20):
        return await anyio.to_thread.run_sync(hand_over, place, hello, ["true"], os.environ)


def mode(place: Path) -> int | None:
    return place.stat().st_mode & 0o777 if place.exists() else None


def said(connection: socket.socket) -> dict[str, Any]:
    with connection.makefile("rb") as lines:
        return json.loads(lines.readline())


def knock(place: Path, *words: dict[str, Any]) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(20)
    connection.connect(str(place))
    for one in words:
        wire.send(connection, one)
    return connection


WORDS = {"wicket": wire.REVISION, "home": "home", "config": "digest", "server": "files", "key": None}


@pytest.mark.parametrize("other", [{"wicket": 0}, {"home": "elsewhere"}, {"config": "changed"}, {"config": None}])
async def test_a_wrapper_that_is_not_the_same_is_sent_elsewhere(place: Path, other: dict[str, Any]) -> None:
    async with listening(place, TERMS, declined):
        with await anyio.to_thread.run_sync(knock, place, WORDS | other) as connection:
            assert await anyio.to_thread.run_sync(said, connection) == {"elsewhere": True}


async def test_a_wrapper_without_the_agents_pipes_is_not_served(place: Path) -> None:
    async with listening(place, TERMS, declined):
        with await anyio.to_thread.run_sync(knock, place, WORDS, {"ends": True}) as connection:
            assert await anyio.to_thread.run_sync(said, connection) == {"taken": True}
            assert await anyio.to_thread.run_sync(connection.recv, 100) == b""


async def test_one_that_hangs_up_or_talks_nonsense_disturbs_nobody(place: Path) -> None:
    async with listening(place, TERMS, declined):
        (await anyio.to_thread.run_sync(knock, place)).close()
        (await anyio.to_thread.run_sync(knock, place, WORDS)).close()
        with await anyio.to_thread.run_sync(knock, place, {**WORDS, "server": 5}) as connection:
            assert await anyio.to_thread.run_sync(connection.recv, 100) == b""
        with await anyio.to_thread.run_sync(knock, place, WORDS) as connection:
            assert await anyio.to_thread.run_sync(said, connection) == {"taken": True}


async def test_where_nobody_listens_the_wrapper_serves_by_itself(place: Path) -> None:
    assert await handed(place) is None
    async with listening(place, TERMS, declined):
        assert await handed(place, Hello("home", "another", "files", None)) is None
        assert mode(place) == 0o600
    assert mode(place) is None
    assert await handed(place) is None


async def test_a_socket_in_a_directory_that_others_may_enter_is_neither_made_nor_used(place: Path) -> None:
    async with listening(place, TERMS, declined):
        place.parent.chmod(0o755)
        assert await handed(place) is None
    async with listening(place, TERMS, declined):
        assert mode(place) is None


async def test_what_a_killed_process_left_is_replaced_and_a_living_one_keeps_its_place(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(place))
    async with listening(place, TERMS, declined):
        async with listening(place, Terms("another", "another"), declined):
            with await anyio.to_thread.run_sync(knock, place, WORDS) as connection:
                assert await anyio.to_thread.run_sync(said, connection) == {"taken": True}
        assert mode(place) == 0o600


async def test_an_address_that_is_too_long_is_done_without(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(place.with_name("x" * 120), TERMS, declined):
        assert "too long an address" in caplog.text
