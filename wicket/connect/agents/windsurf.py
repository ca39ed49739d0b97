"""Windsurf: `~/.codeium/windsurf/mcp_config.json`; it has no file for a project."""

from collections.abc import Sequence
from pathlib import Path

from wicket.connect.agent import Agent, References, Shape, Surroundings


def _user(here: Surroundings) -> Sequence[Path]:
    return [here.home / ".codeium" / "windsurf" / "mcp_config.json"]


AGENT = Agent(
    name="windsurf",
    title="Windsurf",
    user=_user,
    project=None,
    shape=Shape(
        references=References.ENV,
        own_reference="${env:WICKET_KEY}",
        addresses=("serverUrl", "url"),
    ),
)
