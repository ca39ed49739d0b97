"""The first page: what waits, what went through, what it cost, and how the upstreams are."""

from datetime import timedelta
from decimal import Decimal

from starlette.responses import Response

from console import figures, plots
from console.frame import Frame, Visit

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)


async def index(frame: Frame, visit: Visit) -> Response:
    """The overview."""
    now, tenant, config = frame.core.clock.now(), visit.visitor.tenant, frame.core.config
    judged = await frame.events.since(now - HOUR, figures.JUDGED, tenant)
    ended = await frame.events.since(now - DAY, figures.ENDED, tenant)
    asked = await frame.events.since(now - WEEK, figures.APPROVALS, tenant)
    minutes = figures.per_minute(judged, now)
    spending = figures.spend(ended)
    return await frame.draw(
        visit,
        "overview.html",
        minutes=minutes,
        decisions=figures.DECISIONS,
        drawing=plots.minutes(minutes),
        calls=sum(one.total for one in minutes),
        refused=sum(one.counts[name] for one in minutes for name in ("deny", "kill")),
        bars=plots.bars(spending),
        total=sum((one.usd for one in spending), Decimal(0)),
        unpriced=sum(one.unpriced for one in spending),
        outcomes=figures.outcomes(asked),
        upstreams=figures.health((one for one in ended if one.at >= now - HOUR), config.mcp_servers, config.providers),
    )
