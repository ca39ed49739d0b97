"""The audit log: a search in it, and how far it has been verified."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.responses import RedirectResponse, Response

from console.events import Event, event_of
from console.frame import Frame, Visit
from console.pages.sessions import place_of
from governance.audit.event import Tag
from governance.verdict import Decision
from sessions.index.lists.wanted import FilterError
from sessions.index.search.wanted import NAMES, Page, Sought, sought_of


@dataclass(frozen=True, slots=True)
class Verified:
    """The last verification of the whole log, as its event says."""

    seq: int
    at: datetime
    by: str
    last: int
    """Place of the last event that was found good."""
    sealed: bool
    sound: bool
    fault: str
    fault_seq: int
    why: str


async def index(frame: Frame, visit: Visit) -> Response:
    """Events, newest first, as the address filters them, and how far the chain has been verified."""
    asked, tenant = visit.request.query_params, visit.visitor.tenant
    behind, problem = await frame.follower.catch_up(), ""
    try:
        sought = sought_of(asked)
    except FilterError as error:
        sought, problem = Sought(), str(error)
    before = place_of(asked.get("before", ""))
    page = Page(()) if problem else await frame.search.page(sought, before=before, tenant=tenant)
    return await frame.draw(
        visit,
        "audit.html",
        status=400 if problem else 200,
        problem=problem,
        behind=behind,
        page=page,
        events=[event_of(record) for record in page.records],
        tags=[tag.value for tag in Tag],
        decisions=[one.value for one in Decision],
        sought=sought,
        given={name: sought.given.get(name, "") or asked.get(name, "") for name in NAMES},
        older=urlencode({**sought.given, "before": page.next}),
        chain=await frame.events.chain(),
        running=frame.checkup.running,
        verified=await last_verified(frame),
    )


async def verify(frame: Frame, visit: Visit) -> Response:
    """Begin to verify every event, as the button says; the page tells how far that is."""
    begun = BackgroundTask(frame.checkup.run, visit.visitor.name)
    return RedirectResponse("/console/audit", 303, background=begun)


async def last_verified(frame: Frame) -> Verified | None:
    """What the log says about the last time when all of it was verified."""
    page = await frame.search.page(Sought(kind=Tag.AUDIT_VERIFIED.value), limit=1)
    return _verified(event_of(page.records[0])) if page.records else None


def _verified(event: Event) -> Verified:
    return Verified(
        seq=event.seq,
        at=event.at,
        by=event.text("actor"),
        last=event.number("checked") - 1,
        sealed=event.fields.get("sealed") is True,
        sound=event.fields.get("sound") is True,
        fault=event.text("fault"),
        fault_seq=event.number("fault_seq"),
        why=event.text("reason"),
    )
