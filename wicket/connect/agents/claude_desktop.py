"""Claude Desktop: `claude_desktop_config.json` among the settings of the system; stdio servers only.

Remote servers are set up in its window and are not in the file.
"""

from collections.abc import Sequence
from pathlib import Path

from wicket.connect.agent import Agent, Shape, Surroundings


def _user(here: Surroundings) -> Sequence[Path]:
    return [here.settings() / "Claude" / "claude_desktop_config.json"]


AGENT = Agent(
    name="claude-desktop",
    title="Claude Desktop",
    user=_user,
    project=None,
    shape=Shape(addresses=()),
)
