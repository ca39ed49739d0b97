"""The audit log as a list that can be searched."""

from collections.abc import Mapping

from starlette.responses import Response

from console.frame import Frame, Visit
from governance.audit.event import Tag
from governance.audit.query import Wanted

LIMIT = 100
FILTERS = ("tag", "session", "exchange", "tool", "model", "key")


async def index(frame: Frame, visit: Visit) -> Response:
    """Events, newest first, and how the chain ends."""
    asked = visit.request.query_params
    events = await frame.events.page(wanted(asked, visit.visitor.tenant))
    return await frame.draw(
        visit,
        "audit.html",
        events=events,
        tags=[tag.value for tag in Tag],
        asked={name: asked.get(name, "") for name in FILTERS},
        older=events[-1].seq if len(events) == LIMIT else None,
        chain=await frame.events.chain(),
    )


def wanted(asked: Mapping[str, str], tenant: str | None) -> Wanted:
    """What a query string asks for. What is not a place in the chain is ignored."""
    before, tag = asked.get("before", ""), asked.get("tag", "")
    return Wanted(
        event_types=(tag,) if tag else (),
        tenant_id=tenant or "",
        session_id=asked.get("session", ""),
        exchange_id=asked.get("exchange", ""),
        key_id=asked.get("key", ""),
        model=asked.get("model", ""),
        tool=asked.get("tool", ""),
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
        newest_first=True,
        limit=LIMIT,
    )
