"""Draws that something takes a while, for a person at a terminal. Whether one sits there is asked in `terminal.py`."""

from contextlib import AbstractContextManager
from typing import TextIO

from rich.console import Console


def spinning(err: TextIO, what: str) -> AbstractContextManager[object]:
    """A moving sign with the words `what`, until the end of the `with`."""
    return Console(file=err).status(what)
