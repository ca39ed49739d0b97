"""The command line: finds the command, runs it, and turns what went wrong into one line and an exit code.

What the commands do is in `commands/`, one file for each group; this is the visible list of them.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from governance.clock import SystemClock
from wicket.command import Command, Situation
from wicket.exits import Exit
from wicket.terminal import Terminal

MODULES = (
    "up", "gateway", "mcp", "stdio", "setup", "connect", "imports", "keys", "servers", "approvals", "grants",
    "channels", "pins", "sessions", "audit",
    "policy", "database", "people", "console",
)  # fmt: skip
"""The files in `commands/`, in the order in which help and manual show their commands."""

HOMES = {
    "init": "setup",
    "check": "setup",
    "doctor": "setup",
    "disconnect": "connect",
    "import": "imports",
    "kill": "sessions",
    "kills": "sessions",
    "revive": "sessions",
    "db": "database",
}
"""Which file a first word belongs to, where it is not its name. Only that file is loaded: the database and the
detectors take a second to load, and `up` has to be quick."""

GROUPS = {
    "keys": "make, list, revoke and replace gateway keys",
    "people": "see who came in by the identity provider, shut out, and let in again",
    "servers": "sign in at upstream MCP servers, and out",
    "approvals": "see the calls that wait for a person, and decide",
    "grants": "see what people allowed beyond one call, and end it",
    "channels": "see where people are told of calls that wait, and try whether it arrives",
    "pins": "see what servers say of themselves, what of it changed, and decide",
    "sessions": "see the runs of agents",
    "audit": "read and verify the audit log",
    "policy": "explain, test and check policies",
    "db": "the tables of the database",
}
EPILOG = "Exit codes and everything else: docs/cli.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    commands = commands_for(given)
    cut = given.index("--") if "--" in given else len(given)
    parsing = parser(commands)
    options = parsing.parse_args(given[:cut])
    command: Command = options.command
    rest = given[cut + 1 :]
    if rest and not command.rest:
        parsing.error("nothing may follow `--` here")
    terminal = Terminal(sys.stdout, sys.stderr, as_json=options.json)
    try:
        return command.run(Situation(options, terminal, SystemClock(), rest))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # the one border of the command line: a person reads what comes of it
        if os.environ.get("WICKET_DEBUG"):
            raise
        # Not at the top of the file: what can go wrong with a configuration takes longer to load than most commands.
        messages, code = importlib.import_module("wicket.mistakes").explain(error)
        terminal.complain(messages)
        return int(code)


def commands_for(arguments: Sequence[str]) -> list[Command]:
    """The commands that a command line may mean: those of one file where its first word says which, or all."""
    word = arguments[0] if arguments else ""
    home = HOMES.get(word, word)
    return commands_in((home,) if home in MODULES else MODULES)


def commands_in(modules: Sequence[str]) -> list[Command]:
    """The commands of some files of `commands/`."""
    loaded = [importlib.import_module(f"wicket.commands.{module}") for module in modules]
    return [command for module in loaded for command in module.COMMANDS]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like everything else here."""

    def error(self, message: str) -> NoReturn:
        """Tell a wrong command line."""
        self.exit(Exit.USAGE, f"error: {message}: see `{self.prog} --help`\n")


def parser(commands: Sequence[Command]) -> argparse.ArgumentParser:
    """The parser of these commands."""
    root = _Parser(
        prog="wicket", description="The small door that every call of a software agent passes.", epilog=EPILOG
    )
    top = root.add_subparsers(metavar="COMMAND", required=True, title="commands")
    places = {"": top}
    for command in commands:
        group, _, name = command.name.rpartition(" ")
        if group not in places:
            grouped = top.add_parser(group, help=GROUPS[group], description=f"{GROUPS[group]}.", epilog=EPILOG)
            places[group] = grouped.add_subparsers(metavar="COMMAND", required=True, title="commands")
        described = places[group].add_parser(
            name, help=command.summary, description=f"{command.summary}.", epilog=EPILOG
        )
        _describe(described, command)
    return root


def _describe(described: argparse.ArgumentParser, command: Command) -> None:
    for one in command.arguments:
        described.add_argument(*one.flags, help=one.help, **one.settings)
    config = os.environ.get("WICKET_CONFIG", "wicket.yaml")
    described.add_argument("--config", default=config, metavar="FILE", help="configuration (default `wicket.yaml`)")
    described.add_argument("--json", action="store_true", help="say everything as one JSON document")
    described.set_defaults(command=command)
