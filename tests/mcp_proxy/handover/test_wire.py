"""What a wrapper and the proxy say to each other arrives whole, with its files, or ends the conversation."""

import os
import socket
from collections.abc import Generator

import pytest

from mcp_proxy.handover import wire


@pytest.fixture
def line() -> Generator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_message_arrives_with_its_files_which_no_child_inherits(line: tuple[socket.socket, socket.socket]) -> None:
    reading, writing = os.pipe()
    wire.send(line[0], {"ends": True}, (reading, writing))
    messages = wire.Reader(line[1]).read()
    assert messages is not None
    (message,) = messages
    assert message.words == {"ends": True}
    os.write(message.files[1], b"x")
    assert os.read(reading, 1) == b"x"
    assert not any(os.get_inheritable(file) for file in message.files)
    for file in (reading, writing, *message.files):
        os.close(file)


def test_messages_arrive_however_they_are_cut(line: tuple[socket.socket, socket.socket]) -> None:
    reader = wire.Reader(line[1])
    line[0].sendall(b'{"a":1}\n{"b"')
    assert [one.words for one in reader.read() or ()] == [{"a": 1}]
    line[0].sendall(b":2}\n")
    assert [one.words for one in reader.read() or ()] == [{"b": 2}]
    line[0].close()
    assert reader.read() is None


def read_all(reader: wire.Reader) -> None:
    while reader.read() is not None:
        pass


@pytest.mark.parametrize(
    "raw",
    [
        b"[]\n", b"{\n", b'{"files":1}\n', b'{"files":-1}\n', b'{"files":true}\n',
        b"x" * (wire.MOST_BYTES + 1),
    ],
    ids=["a list", "no json", "a file that is not there", "a negative count", "a count that is none", "too long"],
)  # fmt: skip
def test_what_makes_no_sense_ends_it(line: tuple[socket.socket, socket.socket], raw: bytes) -> None:
    reader = wire.Reader(line[1])
    line[0].sendall(raw)
    line[0].close()
    with pytest.raises(wire.WireError):
        read_all(reader)


def test_files_that_no_message_takes_are_closed(line: tuple[socket.socket, socket.socket]) -> None:
    reading, writing = os.pipe()
    reader = wire.Reader(line[1])
    socket.send_fds(line[0], [b'{"part'], [writing])
    assert reader.read() == []
    os.close(writing)
    reader.close()
    assert os.read(reading, 1) == b"", "no writer is left"
    os.close(reading)


@pytest.mark.parametrize("value", [None, "1", True, 1.5])
def test_a_number_is_a_whole_one(value: object) -> None:
    with pytest.raises(wire.WireError):
        wire.Message({"end": value}).number("end")
    with pytest.raises(wire.WireError):
        wire.Message({"server": 1}).text("server")
