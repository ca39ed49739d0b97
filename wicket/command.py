"""What a command is, as data: the parser and `docs/cli.md` are both made from it."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from governance.clock import Clock
from wicket.exits import Exit
from wicket.terminal import Terminal

Options: TypeAlias = argparse.Namespace


@dataclass(frozen=True)
class Situation:
    """What a command is run with."""

    options: Options
    terminal: Terminal
    clock: Clock
    rest: Sequence[str] = ()
    """What followed `--` on the command line."""


Run: TypeAlias = Callable[[Situation], int]
"""Runs a command and returns its exit code: one of `Exit`, or that of a program it stands in for."""


@dataclass(frozen=True)
class Argument:
    """One argument of a command, as `argparse` takes it."""

    flags: tuple[str, ...]
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Command:
    """One command."""

    name: str
    """With its group: `keys create`."""
    summary: str
    run: Run
    arguments: tuple[Argument, ...] = ()
    exits: Mapping[Exit, str] = field(default_factory=dict[Exit, str])
    """What an exit code means here, where that is more exact than its general meaning."""
    rest: str = ""
    """What may follow `--`, for the manual; empty where nothing may."""


def argument(*flags: str, help: str, **settings: Any) -> Argument:  # noqa: A002 - the word that argparse has
    """An argument: its flags or its name, then what `argparse` takes."""
    return Argument(flags, help, settings)
