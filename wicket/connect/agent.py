"""What an agent is to `wicket connect`: where its files are, and how an entry for an MCP server looks in them.

Values only. Each agent's own are in `agents/`, one file each; what is done with them is in `plan.py` and `work.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import TypeAlias

from wicket.connect.jsonc import JSONC
from wicket.connect.notation import Notation

Where: TypeAlias = tuple[str, ...]
"""The keys that lead to something in a file; `*` stands for any one key."""


class Scope(StrEnum):
    """Whose configuration it is."""

    USER = "user"
    PROJECT = "project"


class References(Enum):
    """How an agent's file names a value that stands elsewhere."""

    NONE = "nothing"
    DOLLAR = "${NAME}, ${NAME:-default}"
    ENV = "${env:NAME}"
    SHELL = "$NAME, ${NAME}"
    BRACES = "{env:NAME}, {file:PATH}"


@dataclass(frozen=True)
class Surroundings:
    """The machine and the moment in which files are looked for. Handed in, so that every system can be asked about."""

    system: str
    """As `sys.platform` has it: `linux`, `darwin`, `win32`."""
    home: Path
    environ: Mapping[str, str]
    project: Path
    """Directory of the project that project scope is about."""

    def directory(self, variable: str, usual: Path) -> Path:
        """A directory that an environment variable may move."""
        moved = self.environ.get(variable, "")
        return Path(moved).expanduser() if moved else usual

    def settings(self) -> Path:
        """Where programs with windows keep their settings on this system."""
        match self.system:
            case "darwin":
                return self.home / "Library" / "Application Support"
            case "win32":
                return self.directory("APPDATA", self.home / "AppData" / "Roaming")
            case _:
                return self.directory("XDG_CONFIG_HOME", self.home / ".config")


Files: TypeAlias = Callable[[Surroundings], Sequence[Path]]
"""Where the files may be. All that exist are taken."""


@dataclass(frozen=True)
class Shape:
    """How entries for MCP servers look."""

    places: tuple[Where, ...] = (("mcpServers",),)
    """Objects whose members are servers."""
    notation: Notation = JSONC
    references: References = References.NONE
    own_reference: str = ""
    """How the file says "the environment variable `WICKET_KEY`"; empty where it cannot."""
    one_list: bool = False
    """`command` is program and arguments in one list, instead of `command` and `args`."""
    environment: str = "env"
    addresses: tuple[str, ...] = ("url",)
    """What the address of a remote server may be called; empty where the file cannot hold one."""
    streamable: str = ""
    """What an address must be called so that streamable HTTP is spoken, where that depends on the name."""
    types: frozenset[str] = frozenset()
    """Values of `type` that an entry must have one of to be an entry; empty where nothing is asked."""
    headers: str = "headers"
    header_variables: str = ""
    """Member that maps headers to names of environment variables, where there is one."""
    bearer_variable: str = ""
    """Member that names the environment variable with the bearer token, where there is one."""
    passed_variables: str = ""
    """Member that lists environment variables to pass on, where there is one."""
    renamed: Mapping[str, str] = field(default_factory=lambda: {"sse": "http"})
    """What a remote `type` becomes behind Wicket, which speaks streamable HTTP."""
    own_login: tuple[str, ...] = ("oauth", "auth", "headersHelper", "authProviderType")
    """Members that say the agent signs in by itself. Such a server stays where it is."""


@dataclass(frozen=True)
class Agent:
    """One agent."""

    name: str
    """As on the command line."""
    title: str
    user: Files
    project: Files | None
    shape: Shape

    def files(self, scope: Scope, surroundings: Surroundings) -> list[Path]:
        """Where its files of a scope may be; none where it has no such scope."""
        found = self.user if scope is Scope.USER else self.project
        return list(found(surroundings)) if found else []
