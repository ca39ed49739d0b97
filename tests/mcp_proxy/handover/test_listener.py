"""Who may hand over an agent, and what happens to those who may not: they serve by themselves."""

import contextlib
import json
import os
import resource
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
HELLO = Hello("home", "digest", {}, "files", "key")


@pytest.fixture
def place() -> Generator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # the one of pytest may be too long an address
        yield Path(folder) / wire.SOCKET


async def declined(guest: Guest) -> int:
    raise DeclinedError(3, f"no agent with `{guest.key}` for `{guest.server}`")


async def handed(place: Path, hello: Hello = HELLO) -> Any:
    with anyio.fail_after(20):
        return await anyio.to_thread.run_sync(hand_over, place, hello, ["true"], os.environ)


async def broken(guest: Guest) -> int:
    raise ValueError(f"no luck with {guest}")


async def test_an_agent_that_cannot_be_served_is_told_so_and_its_key_stands_nowhere(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def introduce() -> dict[str, Any]:
        with knock(place, {**WORDS, "key": "wk_secret"}) as connection, Path(os.devnull).open() as file:
            assert said(connection) == {"taken": True}
            wire.send(connection, {"ends": True}, (file.fileno(), file.fileno()))
            return said(connection)

    async with listening(place, TERMS, broken):
        told = await anyio.to_thread.run_sync(introduce)
    assert told == {"end": 1, "say": ["the MCP proxy could not serve this: its log says why"]}
    assert "no luck with" in caplog.text
    assert "wk_secret" not in caplog.text


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


WORDS: dict[str, Any] = {
    "wicket": wire.REVISION,
    "home": "home",
    "config": "digest",
    "values": {},
    "server": "files",
    "key": None,
}


@pytest.mark.parametrize(
    "other", [{"wicket": 0}, {"home": "elsewhere"}, {"config": "changed"}, {"config": None}, {"values": None}]
)
async def test_a_wrapper_that_is_not_the_same_is_sent_elsewhere(place: Path, other: dict[str, Any]) -> None:
    async with listening(place, TERMS, declined):
        with await anyio.to_thread.run_sync(knock, place, WORDS | other) as connection:
            assert await anyio.to_thread.run_sync(said, connection) == {"elsewhere": True}


@pytest.mark.parametrize(
    ("theirs", "is_taken"),
    [
        ({"${A}": "1", "${B:-x}": "2", "${C}": "3"}, True),
        ({"${A}": None, "${B:-x}": "2"}, True),
        ({"${A}": "1", "${B:-x}": "3"}, False),
        ({"${A}": "1"}, False),
    ],
    ids=["the same and one more", "one means nothing there", "one means something else", "one is not told"],
)
async def test_what_the_configuration_refers_to_must_mean_the_same(
    place: Path, theirs: dict[str, str | None], is_taken: bool
) -> None:
    async with listening(place, Terms("home", "digest", {"${A}": "1", "${B:-x}": "2"}), declined):
        with await anyio.to_thread.run_sync(knock, place, WORDS | {"values": theirs}) as connection:
            assert ("taken" in await anyio.to_thread.run_sync(said, connection)) is is_taken


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
        assert await handed(place, Hello("home", "another", {}, "files", None)) is None
        assert mode(place) == 0o600
    assert mode(place) is None
    assert await handed(place) is None


async def test_a_proxy_that_dies_before_it_has_the_pipes_leaves_the_agent_to_its_wrapper(place: Path) -> None:
    def take_and_die() -> None:
        with listener.accept()[0] as connection:
            wire.Reader(connection).read()
            connection.shutdown(socket.SHUT_RD)
            wire.send(connection, {"taken": True})

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place))
        listener.listen()
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, take_and_die)
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


@pytest.mark.parametrize(("files", "served"), [(25, 2), (resource.RLIM_INFINITY, 3)], ids=["few", "any number"])
async def test_agents_get_at_most_half_of_the_files_that_we_may_open(
    place: Path, monkeypatch: pytest.MonkeyPatch, files: int, served: int
) -> None:
    def limit(_: int) -> tuple[int, int]:
        return files, files

    monkeypatch.setattr(resource, "getrlimit", limit)
    async with listening(place, TERMS, declined):
        with contextlib.ExitStack() as here:
            answers = [
                await anyio.to_thread.run_sync(
                    said, here.enter_context(await anyio.to_thread.run_sync(knock, place, WORDS))
                )
                for _ in range(3)
            ]
    assert answers == [{"taken": True}] * served + [{"elsewhere": True}] * (3 - served)


async def test_an_address_that_is_too_long_is_done_without(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(place.with_name("x" * 120), TERMS, declined):
        assert "too long an address" in caplog.text


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


INTRODUCTION: tuple[dict[str, Any], ...] = ({"wicket": wire.REVISION}, WORDS, {"ends": True}, {"signalled": 15})


@pytest.mark.parametrize("odd", INTRODUCTION, ids="+".join)
async def test_files_that_nobody_asked_for_are_closed(place: Path, odd: dict[str, Any]) -> None:
    def send_a_file() -> None:
        with knock(place, *([] if "wicket" in odd else [WORDS])) as connection, Path(os.devnull).open() as file:
            wire.send(connection, odd, (file.fileno(),))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(100):
                pass

    async with listening(place, TERMS, declined):
        await anyio.to_thread.run_sync(send_a_file)
        before = open_files()
        for _ in range(3):
            await anyio.to_thread.run_sync(send_a_file)
        assert open_files() == before
