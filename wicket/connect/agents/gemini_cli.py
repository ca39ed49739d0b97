"""Gemini CLI: `settings.json` in `~/.gemini` (in the home that `GEMINI_CLI_HOME` names), and in `.gemini` of a project.

`httpUrl` means streamable HTTP; `url` means SSE, so it is renamed on the way.
"""

from collections.abc import Sequence
from pathlib import Path

from wicket.connect.agent import Agent, References, Shape, Surroundings


def _user(here: Surroundings) -> Sequence[Path]:
    return [here.directory("GEMINI_CLI_HOME", here.home) / ".gemini" / "settings.json"]


def _project(here: Surroundings) -> Sequence[Path]:
    return [here.project / ".gemini" / "settings.json"]


AGENT = Agent(
    name="gemini-cli",
    title="Gemini CLI",
    user=_user,
    project=_project,
    shape=Shape(
        references=References.SHELL,
        own_reference="${WICKET_KEY}",
        addresses=("httpUrl", "url"),
        streamable="httpUrl",
    ),
)
