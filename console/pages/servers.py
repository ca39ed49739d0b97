"""How the MCP servers are, as the processes that run them said last. Nothing can be changed here."""

from starlette.responses import Response

from console.frame import Frame, Visit
from governance.health.report import FAILING, STOPPED, UNKNOWN, WELL, Report, current

MARKS = {WELL: "allow", FAILING: "deny", STOPPED: "quiet", UNKNOWN: "quiet"}
"""The colour of each state."""


async def reports(frame: Frame) -> list[Report]:
    """How every configured server is now."""
    core = frame.core
    return current(await frame.health.all(), list(core.config.mcp_servers), core.clock.now())


async def listed(frame: Frame) -> str:
    """The list as it stands, as a piece of a page."""
    return frame.part("servers_list.html", reports=await reports(frame), marks=MARKS)


async def index(frame: Frame, visit: Visit) -> Response:
    """The list."""
    return await frame.draw(visit, "servers.html", reports=await reports(frame), marks=MARKS)
