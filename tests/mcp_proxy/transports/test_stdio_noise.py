"""What children say on their standard error."""

import logging

import pytest

from mcp_proxy.transports import stdio_noise
from mcp_proxy.transports.stdio_noise import LONGEST_LINE, Noise


async def said(caplog: pytest.LogCaptureFixture, *chunks: bytes, secrets: tuple[str, ...] = ()) -> list[str]:
    caplog.set_level(logging.INFO)
    noise = Noise("s", secrets)
    for chunk in chunks:
        noise.feed(chunk)
    noise.close()
    return [one.removeprefix("server s says: ") for one in caplog.messages]


async def test_lines_are_joined_from_chunks(caplog: pytest.LogCaptureFixture) -> None:
    assert await said(caplog, b"one\ntw", b"o\n\n  \nthree") == ["one", "two", "three"]


async def test_secrets_of_the_environment_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert await said(caplog, b"key abcdef-123 and abcdef\n", secrets=("abcdef", "abcdef-123", "1")) == [
        "key *** and ***"
    ]


async def test_control_characters_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    assert await said(caplog, b"a\r\x1b[2Jb\x00\xc2\x85c\xff\n") == ["a [2Jb c\ufffd"]


async def test_an_endless_line_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    lines = await said(caplog, *[b"x" * 1000] * 10)
    assert all(len(line) <= LONGEST_LINE for line in lines)


async def test_too_many_lines_are_counted_instead_of_written(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio_noise, "LINES_PER_WINDOW", 2)
    lines = await said(caplog, b"a\nb\nc\nd\n")
    assert lines == ["a", "b", "server s says too much: 2 lines were left out"]


async def test_a_secret_in_the_midst_of_which_a_line_is_cut_is_not_shown_by_halves(
    caplog: pytest.LogCaptureFixture,
) -> None:
    start = b"x" * (2 * LONGEST_LINE)
    lines = await said(caplog, start + b"a", b"bcdef-123\n", b"next\n", secrets=("abcdef-123",))
    assert lines == ["x" * LONGEST_LINE, "next"]


async def test_a_secret_of_several_lines_is_left_out_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    assert await said(caplog, b"key: -----BEGIN\nMIIBabc\n", secrets=("-----BEGIN\r\nMIIBabc\n",)) == [
        "key: ***",
        "***",
    ]
