"""Large texts are read in a thread, and short ones where they came."""

import threading

import pytest

from governance.jsontree import MalformedError
from pipeline.reading import LARGE, read_apart


def thread_of(raw: bytes) -> int:
    return threading.get_ident()


async def test_a_large_text_is_read_in_a_thread_and_a_short_one_is_not() -> None:
    assert await read_apart(thread_of, b" " * LARGE) == threading.get_ident()
    assert await read_apart(thread_of, b" " * (LARGE + 1)) != threading.get_ident()


@pytest.mark.parametrize("size", [1, LARGE + 1])
async def test_what_cannot_be_read_is_told_alike(size: int) -> None:
    def refuse(raw: bytes) -> None:
        raise MalformedError("not valid JSON")

    with pytest.raises(MalformedError, match="not valid JSON"):
        await read_apart(refuse, b" " * size)
