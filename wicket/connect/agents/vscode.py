"""VS Code: `mcp.json` in the user's profile, `.vscode/mcp.json` for a project; the servers stand under `servers`.

Values that VS Code asks a person for (`${input:...}`) are known to it alone, so a remote server with one stays.
"""

from collections.abc import Sequence
from pathlib import Path

from wicket.connect.agent import Agent, References, Shape, Surroundings


def _user(here: Surroundings) -> Sequence[Path]:
    portable = here.environ.get("VSCODE_PORTABLE", "")
    if portable:
        return [Path(portable) / "user-data" / "User" / "mcp.json"]
    return [here.settings() / product / "User" / "mcp.json" for product in ("Code", "Code - Insiders")]


def _project(here: Surroundings) -> Sequence[Path]:
    return [here.project / ".vscode" / "mcp.json"]


AGENT = Agent(
    name="vscode",
    title="VS Code",
    user=_user,
    project=_project,
    shape=Shape(places=(("servers",),), references=References.ENV, own_reference="${env:WICKET_KEY}"),
)
