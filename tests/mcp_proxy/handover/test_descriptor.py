"""A file that the event loop has, too, is closed once, and nobody else's file is."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from mcp_proxy.handover.descriptor import Descriptor

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


class Ended(asyncio.Protocol):
    """Tells when its transport has closed the file."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


class Contested(Descriptor):
    """Another thread opens a file in the very moment in which this one is to be closed."""

    others: list[int]

    def close(self) -> None:
        self.others = [os.open(os.devnull, os.O_RDONLY)]
        super().close()


@pytest.mark.parametrize("loop", LOOPS, ids=["the plain loop", "the fast loop"])
def test_a_loop_that_closes_the_number_first_closes_no_file_of_anybody_else(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def use(number: int) -> list[int]:
        protocol = Ended()
        pipe = Contested(number)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        transport.close()
        await protocol.lost.wait()
        await asyncio.sleep(0)
        return pipe.others

    reading, writing = os.pipe()
    with asyncio.Runner(loop_factory=loop) as runner:
        others = runner.run(use(reading))
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"nobody reads")
    for other in others:
        assert os.path.sameopenfile(other, other), "it is still open"
    for number in (writing, *others):
        os.close(number)


def test_it_is_closed_once(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with Descriptor(writing) as pipe:
        assert not pipe.isatty()
        assert pipe.fileno() == writing
        pipe.close()
        again = os.open(tmp_path, os.O_RDONLY)
        assert again == writing, "the number is free, and another's now"
    assert os.read(reading, 1) == b""
    for number in (reading, again):
        os.close(number)
