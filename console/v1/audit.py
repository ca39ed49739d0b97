"""The audit log: searching it, the state of its chain, and exports."""

from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import Field
from starlette.responses import StreamingResponse

from console.roles import Permission
from console.v1 import cursor
from console.v1.operation import Call, Operation, Paged, Query, Time, moment
from console.v1.sessions import event_of
from console.v1.shapes import Chain, Events, Line
from governance.audit import query
from governance.audit.event import Tag
from governance.audit.query import Wanted


class Filter(Query):
    """Which events. What is left out does not matter."""

    tag: Tag | None = None
    tenant: str = ""
    session: str = ""
    exchange: str = ""
    key: str = Field(default="", description="Id of a key or person.")
    model: str = ""
    tool: str = ""
    since: Annotated[Time, Field(description="At or after.")] = None
    until: Annotated[Time, Field(description="Before.")] = None


class AuditQuery(Filter, Paged):
    """Which events, page by page."""


async def search(call: Call) -> Events:
    """Events, the newest first."""
    asked: AuditQuery = call.query
    wanted = _wanted(call, asked, before=cursor.number(asked.cursor), newest_first=True, limit=asked.limit + 1)
    if wanted is None:
        return Events(items=[], next=None)
    found = await call.frame.events.page(wanted)
    shown = found[: asked.limit]
    more = cursor.close(shown[-1].seq) if len(found) > asked.limit else None
    return Events(items=[event_of(one, whole=True) for one in shown], next=more)


async def chain(call: Call) -> Chain:
    """Where the log ends, and whether its newest events hang together."""
    found = await call.frame.events.chain()
    return Chain(count=found.count, head=found.head, checked=found.checked, sound=found.sound)


async def export(call: Call) -> StreamingResponse:
    """Events as lines of JSON, oldest first, as `wicket audit export` writes them."""
    wanted = _wanted(call, call.query)

    async def lines() -> AsyncIterator[bytes]:
        if wanted is not None:
            async for line in query.export(call.frame.core.store, wanted):
                yield line.encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _wanted(
    call: Call, asked: Filter, *, before: int | None = None, newest_first: bool = False, limit: int = 100
) -> Wanted | None:
    """What a query asks for, within the tenant of whoever asks; None = nothing of it is theirs."""
    mine = call.visitor.tenant
    if mine is not None and asked.tenant not in ("", mine):
        return None
    return Wanted(
        event_types=(asked.tag.value,) if asked.tag else (),
        tenant_id=mine or asked.tenant,
        session_id=asked.session,
        exchange_id=asked.exchange,
        key_id=asked.key,
        model=asked.model,
        tool=asked.tool,
        since=moment(asked.since),
        until=moment(asked.until),
        before=before,
        newest_first=newest_first,
        limit=limit,
    )


OPERATIONS = (
    Operation(
        "searchAudit", "GET", "/audit/events", Permission.AUDIT, "Events of the audit log, the newest first", Events,
        search, AuditQuery,
    ),
    Operation(
        "showChain", "GET", "/audit/chain", Permission.AUDIT, "Where the log ends, with a look at its newest events",
        Chain, chain,
    ),
    Operation(
        "exportAudit", "GET", "/audit/export", Permission.AUDIT, "Events as lines of JSON, oldest first", Line,
        export, Filter, media_type="application/x-ndjson",
    ),
)  # fmt: skip
