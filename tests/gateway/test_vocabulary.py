"""Counting tokens without the network."""

import os
import socket
from pathlib import Path

import pytest

import gateway.vocabulary
from gateway.vocabulary import Vocabulary, VocabularyError

FOLDER = Path(gateway.vocabulary.__file__).parent
FILE = "fb374d419588a4632f3f557e76b4b70aebbca790"


def test_tokens_are_counted_without_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert Vocabulary("o200k_base").count("hello world") == 2


def test_text_that_looks_special_is_text() -> None:
    assert Vocabulary("o200k_base").count("<|endoftext|>") > 1


def test_a_folder_that_somebody_set_stays_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "/somewhere")
    Vocabulary("o200k_base").count("x")
    assert os.environ["TIKTOKEN_CACHE_DIR"] == "/somewhere"


@pytest.mark.parametrize("content", [None, b"", b"changed"])
def test_a_file_that_is_not_ours_is_refused_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(VocabularyError):
        Vocabulary("o200k_base", tmp_path).count("x")
    assert (tmp_path / FILE).exists() is (content is not None)
