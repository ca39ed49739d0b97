"""Cursor: `~/.cursor/mcp.json` for a person, `.cursor/mcp.json` for a project."""

from collections.abc import Sequence
from pathlib import Path

from wicket.connect.agent import Agent, References, Shape, Surroundings


def _user(here: Surroundings) -> Sequence[Path]:
    return [here.home / ".cursor" / "mcp.json"]


def _project(here: Surroundings) -> Sequence[Path]:
    return [here.project / ".cursor" / "mcp.json"]


AGENT = Agent(
    name="cursor",
    title="Cursor",
    user=_user,
    project=_project,
    shape=Shape(references=References.ENV, own_reference="${env:WICKET_KEY}"),
)
