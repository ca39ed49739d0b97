"""What a wrapper and the MCP proxy say to each other: one JSON object a line, and the open files that go with it.

Files travel as ancillary data of a Unix socket (`SCM_RIGHTS`, unix(7)); each message says how many are its own.

    wrapper                                          proxy
    {"wicket": 1, "home", "config", "values", "server", "key"}
                                                     {"taken": true}, or {"elsewhere": true}: serve it yourself
    {"ends": true} + agent's input and output
                                                     {"start": true}
    {"started": PID} + child's input and output, or {"failed": ERRNO}
    {"signalled": NUMBER}, {"exited": CODE}          {"signal": NUMBER} to the child's group
                                                     {"end": CODE, "say": [TEXT]}

Until the wrapper has sent `ends` nothing was read of what the agent said, so it may still turn to serving by itself.
Sans-io, and loads next to nothing: the wrapper loads it.
"""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

REVISION = 1
SOCKET = "stdio.sock"
"""Its name in the state directory, which nobody but its owner can enter."""
MOST_BYTES = 64 * 1024
"""Longest message."""
MOST_FILES = 2
READ_BYTES = 16 * 1024

# The numbers of systems that have it: a file that comes in is not to be inherited by any child that starts meanwhile.
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class WireError(Exception):
    """The other side says what cannot be understood."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, with the descriptors that came with it. Whoever takes it closes them."""

    words: dict[str, Any]
    files: tuple[int, ...] = ()

    def close(self) -> None:
        """Close its descriptors: nobody takes them."""
        for file in self.files:
            os.close(file)

    def number(self, name: str) -> int:
        """A whole number in it.

        Raises:
            WireError: there is none.
        """
        value = self.words.get(name)
        if type(value) is not int:
            raise WireError(f"`{name}` is not a number")
        return value

    def text(self, name: str) -> str:
        """A text in it.

        Raises:
            WireError: there is none.
        """
        value = self.words.get(name)
        if not isinstance(value, str):
            raise WireError(f"`{name}` is not a text")
        return value


def send(line: socket.socket, words: dict[str, Any], files: Sequence[int] = ()) -> None:
    """Send one message. It is small: a socket that does not take it at once has nobody at its other end.

    Raises:
        OSError: nobody takes it.
    """
    raw = json.dumps({**words, "files": len(files)} if files else words).encode() + b"\n"
    sent = socket.send_fds(line, [raw], files) if files else line.send(raw)
    if sent < len(raw):
        line.sendall(raw[sent:])


class Reader:
    """Messages from a socket, in whatever pieces they come."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._bytes = b""
        self._files: list[int] = []

    def read(self) -> list[Message] | None:
        """What one read of the socket brings; None at its end.

        Raises:
            BlockingIOError, TimeoutError: nothing is there.
            OSError: the connection is broken.
            WireError: it is not a message.
        """
        raw, files, flags, _ = socket.recv_fds(self._line, READ_BYTES, MOST_FILES, _CLOSE_ON_EXEC)
        for file in files:
            os.set_inheritable(file, False)
        self._files += files
        if flags & socket.MSG_CTRUNC or len(self._files) > MOST_FILES:
            raise WireError("more files than belong to a message")
        if not raw:
            return None
        *lines, self._bytes = (self._bytes + raw).split(b"\n")
        if len(self._bytes) > MOST_BYTES:
            raise WireError("a message is too long")
        return [self._message(line) for line in lines]

    def close(self) -> None:
        """Close the files that no message took."""
        for file in self._files:
            os.close(file)
        self._files = []

    def _message(self, line: bytes) -> Message:
        try:
            words: object = json.loads(line)
        except ValueError:
            raise WireError("a line is not JSON") from None
        if not isinstance(words, dict):
            raise WireError("a message is not an object")
        said = cast("dict[str, Any]", words)
        count = said.pop("files", 0)
        if type(count) is not int or not 0 <= count <= len(self._files):
            raise WireError("the files of a message are not there")
        taken, self._files = tuple(self._files[:count]), self._files[count:]
        return Message(said, taken)
