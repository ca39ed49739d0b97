"""Codex: `config.toml` in `~/.codex` (or where `CODEX_HOME` says), and in `.codex` for a project.

It has no references inside values; members of their own name environment variables instead.
"""

from collections.abc import Sequence
from pathlib import Path

from wicket.connect.agent import Agent, Shape, Surroundings
from wicket.connect.toml import TOML


def _user(here: Surroundings) -> Sequence[Path]:
    return [here.directory("CODEX_HOME", here.home / ".codex") / "config.toml"]


def _project(here: Surroundings) -> Sequence[Path]:
    return [here.project / ".codex" / "config.toml"]


AGENT = Agent(
    name="codex",
    title="Codex",
    user=_user,
    project=_project,
    shape=Shape(
        places=(("mcp_servers",),),
        notation=TOML,
        headers="http_headers",
        header_variables="env_http_headers",
        bearer_variable="bearer_token_env_var",
        passed_variables="env_vars",
    ),
)
