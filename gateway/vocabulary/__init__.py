"""Counting tokens with the vocabulary that lies beside this file, never with one from the network.

Only for estimates: what a provider counted itself is always taken before this. It is loaded when it is first needed,
because it takes a fifth of a second and some sixty megabytes.
"""

import hashlib
import os
import threading
from pathlib import Path

import tiktoken

_FOLDER = Path(__file__).parent
_FILES = {
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    )
}
"""Name -> file (the SHA-1 of its address, as tiktoken caches it) and SHA-256 (as tiktoken's source has it)."""
_CACHE = "TIKTOKEN_CACHE_DIR"


class VocabularyError(Exception):
    """The vocabulary is not the one that was shipped."""


class Vocabulary:
    """A vocabulary by name; safe to use from several threads."""

    def __init__(self, name: str, folder: Path = _FOLDER) -> None:
        self._name = name
        self._folder = folder
        self._lock = threading.Lock()
        self._encoding: tiktoken.Encoding | None = None

    def count(self, text: str) -> int:
        """How many tokens a text has. Text that looks like a special token is counted as the text it is.

        Raises:
            VocabularyError: the file is missing or not the one that was shipped.
        """
        with self._lock:
            encoding = self._encoding or self._load()
            self._encoding = encoding
        return len(encoding.encode(text, disallowed_special=()))

    def _load(self) -> tiktoken.Encoding:
        file, expected = _FILES[self._name]
        try:
            found = hashlib.sha256((self._folder / file).read_bytes()).hexdigest()
        except OSError as error:
            raise VocabularyError(f"the vocabulary `{self._name}` cannot be read: install Wicket again") from error
        if found != expected:  # tiktoken would delete such a file and fetch another
            raise VocabularyError(f"the vocabulary `{self._name}` was changed: install Wicket again")
        before = os.environ.get(_CACHE)
        os.environ[_CACHE] = str(self._folder)
        try:
            return tiktoken.get_encoding(self._name)
        finally:
            if before is None:
                del os.environ[_CACHE]
            else:
                os.environ[_CACHE] = before
