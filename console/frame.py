"""What every page stands in: who may open it, the forms that may come back, and how it is drawn.

Which pages there are is `app.py`; who is let in is `access.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from approvals.delegation.store import SqlDelegations
from approvals.desk import Desk
from approvals.grants.store import SqlGrants
from approvals.quorum import in_words
from approvals.ticket import State
from approvals.visible import lines, pieces, plainly
from console.access import Access, Visitor
from console.checkup import Checkup
from console.events import Events
from console.roles import NEEDS, ForbiddenError, Permission, check, place_of
from console.sso import SingleSignOn
from governance.audit.event import AuditLog
from governance.clock import Clock
from governance.config.models import Config
from governance.health.store import SqlHealth
from governance.history.store import SqlShelf, SqlVersions
from governance.identity.directory import Identity, IdentityStaleError
from governance.identity.store import SqlKeys
from governance.pins.reviews import Reviews
from governance.store import Store
from pipeline.border import BadRequestError, read_body
from sessions.index.counts.store import SqlCounts
from sessions.index.follow import Follower
from sessions.index.lists.store import SqlLists
from sessions.index.search.store import SqlSearch
from sessions.killswitch import KillSwitch
from sessions.labels.book import Labels
from sessions.store import SqlRuns, SqlWitnesses

FORM_BYTES = 64 * 1024
MOST_FIELDS = 120
_FORM = b"application/x-www-form-urlencoded"


class Core(Protocol):
    """What the console needs of an open runtime (`pipeline/runtime.py`)."""

    @property
    def config(self) -> Config: ...  # noqa: D102 - the names say it
    @property
    def clock(self) -> Clock: ...  # noqa: D102
    @property
    def store(self) -> Store: ...  # noqa: D102
    @property
    def audit(self) -> AuditLog: ...  # noqa: D102
    @property
    def strangers(self) -> AuditLog: ...  # noqa: D102
    @property
    def key_for(self) -> Callable[[str], bytes]: ...  # noqa: D102
    @property
    def identity(self) -> Identity: ...  # noqa: D102
    @property
    def keys(self) -> SqlKeys: ...  # noqa: D102
    @property
    def desk(self) -> Desk: ...  # noqa: D102
    @property
    def grants(self) -> SqlGrants: ...  # noqa: D102
    @property
    def reviews(self) -> Reviews: ...  # noqa: D102
    @property
    def kills(self) -> KillSwitch: ...  # noqa: D102
    @property
    def runs(self) -> SqlRuns: ...  # noqa: D102
    @property
    def labels(self) -> Labels: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person who was let in."""

    request: Request
    visitor: Visitor
    form: Mapping[str, str]
    """Fields of the form, checked to be of our own page; empty for a GET."""

    @property
    def move(self) -> str:
        """What a POST asks for: the last step of its path."""
        return self.request.url.path.rpartition("/")[2]


Page = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Frame:
    """The frame of all pages."""

    core: Core
    access: Access
    events: Events
    health: SqlHealth
    witnesses: SqlWitnesses
    delegations: SqlDelegations
    lists: SqlLists
    search: SqlSearch
    counts: SqlCounts
    versions: SqlVersions
    shelf: SqlShelf
    """How often rules spoke."""
    follower: Follower
    """Brings the index over the log up to date, before a page shows what is in it."""
    checkup: Checkup
    drawings: Environment
    sso: SingleSignOn | None = None
    """Signing in by an identity provider, where one is configured."""

    def page(self, handler: Page) -> Endpoint:
        """An endpoint for people who came in. A GET changes nothing; a POST must come from our own page."""

        async def endpoint(request: Request) -> Response:
            try:
                visitor = await self.access.visitor(request)
                if visitor is None:
                    return self._outside(request)
                check(visitor.role, NEEDS.get(place_of(request.scope)))
                form: Mapping[str, str] = {}
                if request.method == "POST":
                    form = await read_form(request)
                    self.access.check_form(request, visitor, form.get("csrf", ""))
                return await handler(Visit(request, visitor, form))
            except ForbiddenError as error:
                return self.notice("not allowed", str(error), 403)
            except BadRequestError as error:
                return self.notice("not understood", error.message, error.status)
            except IdentityStaleError as error:
                return self.notice("not available", str(error), 503)

        return endpoint

    async def draw(self, visit: Visit, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page inside the frame."""
        visitor, waiting = visit.visitor, await self.waiting(visit.visitor)
        html = self.drawings.get_template(name).render(
            visitor=visitor, now=self.core.clock.now(), waiting=waiting, place=name, **values
        )
        return HTMLResponse(html, status)

    async def waiting(self, visitor: Visitor) -> int:
        """How many calls wait, as far as this person may know."""
        if not visitor.may(Permission.TICKETS):
            return 0
        return len(await self.core.desk.tickets([State.PENDING], tenant=visitor.tenant))

    def part(self, name: str, **values: Any) -> str:
        """A piece of a page, for a page that is already open."""
        return self.drawings.get_template(name).render(now=self.core.clock.now(), **values)

    def notice(self, title: str, text: str, status: int) -> HTMLResponse:
        """A page that only says something."""
        return HTMLResponse(self.drawings.get_template("notice.html").render(title=title, text=text), status)

    def _outside(self, request: Request) -> Response:
        """What somebody sees who is not let in, or whose cookie the browser did not send.

        A browser keeps a strict cookie back when a link in a mail or a chat is followed; the landing page goes on to
        the same address from here, and then the cookie comes along.
        """
        if request.method != "GET":
            return self.notice("not signed in", "your session has ended: sign in and try again", 401)
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return HTMLResponse(self.drawings.get_template("landing.html").render(path=request.url.path, onward=""))
        return RedirectResponse("/console/login?next=" + quote(request.url.path), 303)


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a posted form.

    Raises:
        BadRequestError: it is none, or too large.
    """
    raw = await read_body(request.scope, request.receive, limit=FORM_BYTES, media_type=_FORM)
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise BadRequestError(400, "malformed", "not a well-formed form") from None


def open_drawings() -> Environment:
    """The templates. Everything put into them is escaped, and a missing value is an error."""
    drawings = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts: dict[str, Any] = {"pieces": pieces, "lines": lines, "in_words": in_words, "plainly": plainly}
    times: dict[str, Any] = {"ago": ago, "left": left, "stamp": stamp, "span": span, "after": after}
    drawings.filters.update(texts | times)
    return drawings


def span(seconds: float) -> str:
    """A stretch of time as people say it: `45 s`, `4 min`, `3 h`, `2 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def ago(moment: datetime | str, now: datetime) -> str:
    """How long ago something was."""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return span((now - then).total_seconds())


def left(moment: datetime, now: datetime) -> str:
    """How long until something is, to the second: `4:05`."""
    seconds = max(0, int((moment - now + timedelta(milliseconds=999)).total_seconds()))
    return f"{seconds // 60}:{seconds % 60:02d}"


def after(moment: str, start: str) -> str:
    """How much later than `start` something was: `+0.24 s`."""
    return f"+{max(0.0, (datetime.fromisoformat(moment) - datetime.fromisoformat(start)).total_seconds()):.2f} s"


def stamp(moment: datetime | str) -> str:
    """A moment as date and time in UTC."""
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{then:%Y-%m-%d %H:%M:%S} UTC"
