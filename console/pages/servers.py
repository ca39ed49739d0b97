"""How the MCP servers are, as the processes that run them said last, and whether people are told of what waits.

Nothing can be changed here.
"""

from starlette.responses import Response

from approvals.channels.kinds import routes
from approvals.webhook import standing
from approvals.webhook.standing import Standing, standings
from approvals.webhook.store import SqlDeliveries
from console.frame import Frame, Visit
from governance.health.report import FAILING, STOPPED, UNKNOWN, WELL, Report, current

MARKS = {
    WELL: "allow", FAILING: "deny", STOPPED: "quiet", UNKNOWN: "quiet", standing.WELL: "allow", standing.GONE: "deny",
    standing.UNUSED: "quiet",
}  # fmt: skip
"""The colour of each state."""


async def reports(frame: Frame) -> list[Report]:
    """How every configured server is now."""
    core = frame.core
    return current(await frame.health.all(), list(core.config.mcp_servers), core.clock.now())


async def told(frame: Frame) -> list[Standing]:
    """How it stands with every way by which people are told of what waits."""
    ways = routes(frame.core.config.approvals)
    return standings(ways, await SqlDeliveries(frame.core.store).counted()) if ways else []


async def listed(frame: Frame) -> str:
    """The list as it stands, as a piece of a page."""
    return frame.part("servers_list.html", reports=await reports(frame), marks=MARKS, told=await told(frame))


async def index(frame: Frame, visit: Visit) -> Response:
    """The list."""
    return await frame.draw(visit, "servers.html", reports=await reports(frame), marks=MARKS, told=await told(frame))
