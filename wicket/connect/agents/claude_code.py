"""Claude Code: `~/.claude.json` for a person, `.mcp.json` for a project.

The person's file holds servers for all projects at the top, and those for one project under its path. The directory
that `CLAUDE_CONFIG_DIR` names holds the file under the same name.
"""

from collections.abc import Sequence
from pathlib import Path

from wicket.connect.agent import Agent, References, Shape, Surroundings


def _user(here: Surroundings) -> Sequence[Path]:
    return [here.directory("CLAUDE_CONFIG_DIR", here.home) / ".claude.json"]


def _project(here: Surroundings) -> Sequence[Path]:
    return [here.project / ".mcp.json"]


AGENT = Agent(
    name="claude-code",
    title="Claude Code",
    user=_user,
    project=_project,
    shape=Shape(
        places=(("mcpServers",), ("projects", "*", "mcpServers")),
        references=References.DOLLAR,
        own_reference="${WICKET_KEY}",
    ),
)
