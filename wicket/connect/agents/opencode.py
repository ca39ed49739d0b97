"""OpenCode: `opencode.json` or `opencode.jsonc`, among a person's settings and in a project.

On every system it follows `XDG_CONFIG_HOME`; `OPENCODE_CONFIG` names one more file and `OPENCODE_CONFIG_DIR` one more
directory. Version 1 has the servers directly under `mcp`, version 2 under `mcp.servers`.
"""

from collections.abc import Sequence
from pathlib import Path

from wicket.connect.agent import Agent, References, Shape, Surroundings

_NAMES = ("opencode.json", "opencode.jsonc")


def _user(here: Surroundings) -> Sequence[Path]:
    usual = here.directory("XDG_CONFIG_HOME", here.home / ".config") / "opencode"
    more = here.environ.get("OPENCODE_CONFIG_DIR", "")
    directories = [usual, Path(more).expanduser()] if more else [usual]
    named = here.environ.get("OPENCODE_CONFIG", "")
    files = [directory / name for directory in directories for name in ("config.json", *_NAMES)]
    return [*files, Path(named).expanduser()] if named else files


def _project(here: Surroundings) -> Sequence[Path]:
    return [directory / name for directory in (here.project, here.project / ".opencode") for name in _NAMES]


AGENT = Agent(
    name="opencode",
    title="OpenCode",
    user=_user,
    project=_project,
    shape=Shape(
        places=(("mcp",), ("mcp", "servers")),
        references=References.BRACES,
        own_reference="{env:WICKET_KEY}",
        one_list=True,
        environment="environment",
        types=frozenset({"local", "remote"}),
        renamed={},
    ),
)
