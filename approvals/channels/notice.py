"""What people are told of a ticket, before it takes the form of a chat or a mailbox.

Pure. Everything that an agent, a server or a person wrote stands here as one line of visible text
(`approvals/visible.py`), bounded; each channel escapes it once more for its own format. A notice decides nothing: its
link opens a page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import MappingProxyType

from approvals.desk import link
from approvals.ticket import State, Ticket, elapsed
from approvals.visible import lines, pieces
from governance import jsontree
from governance.audit.event import Tag
from governance.jsontree import Json, JsonObject

MOST_ARGUMENTS = 20
"""Values of a call that are shown."""
LONGEST_VALUE = 200
"""Characters of a value that are shown."""
LONGEST_PATH = 100
LONGEST_FACT = 300

_TITLES: Mapping[str, str] = MappingProxyType(
    {
        Tag.APPROVAL_REQUESTED.value: "A call waits for approval",
        Tag.APPROVAL_REMINDED.value: "A call still waits for approval",
        Tag.APPROVAL_GRANTED.value: "A call was approved",
        Tag.APPROVAL_DENIED.value: "A call was denied",
        Tag.APPROVAL_EXPIRED.value: "A call ran out of time",
    }
)
"""What is said of each event; of one that is not here, its name."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people."""

    event: str
    title: str
    link: str
    """Page of the ticket on the console."""
    ticket: str
    facts: tuple[tuple[str, str], ...]
    """What is known of the call, each with its name."""
    arguments: tuple[tuple[str, str], ...] = ()
    """Values of the call by their place; empty where the channel shows none."""
    more: int = 0
    """How many values are not shown."""

    def dump(self) -> str:
        """As it is kept."""
        value: JsonObject = {
            "event": self.event,
            "title": self.title,
            "link": self.link,
            "ticket": self.ticket,
            "facts": _pairs(self.facts),
            "arguments": _pairs(self.arguments),
            "more": self.more,
        }
        return jsontree.dump(value).decode()


def load(kept: str) -> Notice:
    """A notice that was kept."""
    value = jsontree.as_object(jsontree.parse(kept.encode()))
    told = {name: jsontree.as_text(value.get(name)) for name in ("event", "title", "link", "ticket")}
    more = value.get("more")
    return Notice(
        **told,
        facts=_read(value, "facts"),
        arguments=_read(value, "arguments"),
        more=more if isinstance(more, int) else 0,
    )


def notice(event: Tag, ticket: Ticket, at: datetime, base_url: str, *, arguments: bool) -> Notice:
    """What is told of an event of a ticket."""
    shown, more = _arguments(ticket) if arguments else ((), 0)
    return Notice(
        event=event.value,
        title=_title(event, ticket),
        link=link(base_url, ticket.id),
        ticket=ticket.id,
        facts=tuple(_facts(event, ticket, at)),
        arguments=shown,
        more=more,
    )


def _title(event: Tag, ticket: Ticket) -> str:
    if event is Tag.APPROVAL_DENIED and ticket.state is State.INVALIDATED:
        return "A call is wanted no more"
    if event is Tag.APPROVAL_EXPIRED and ticket.decided_by:
        return "An approval was not used in time"
    return _TITLES.get(event.value, f"News of a held call: {event.value}")


def sample(base_url: str) -> Notice:
    """What `wicket channels test` sends."""
    facts = (("Why", "somebody tries whether messages arrive here: nothing waits, and nothing is to be done"),)
    return Notice("test", "Wicket can write here", f"{base_url.rstrip('/')}/console/approvals", "", facts)


def _facts(event: Tag, ticket: Ticket, at: datetime) -> Iterator[tuple[str, str]]:
    bound = ticket.bound
    principal = jsontree.as_object(bound.get("principal"))
    told = (
        ("Tool" if ticket.field("name") else "Model", ticket.field("name") or ticket.field("model")),
        ("Server" if ticket.field("server") else "Provider", ticket.field("server") or ticket.field("provider")),
        ("Agent", jsontree.as_text(principal.get("agent"))),
        ("User", jsontree.as_text(principal.get("user"))),
        ("Team", jsontree.as_text(principal.get("team"))),
        ("Key", jsontree.as_text(principal.get("key_id"))),
        ("Run", ticket.field("session")),
        ("Rule", ticket.rule),
        ("Why", ticket.reason),
        ("Found in it", ", ".join(ticket.findings)),
    )
    yield from ((name, one_line(text, LONGEST_FACT)) for name, text in told if text)
    if ticket.state is State.PENDING:
        standing = ticket.standing
        if ticket.charters:
            yield "Approvals", f"{standing.have} of {standing.wanted}"
        yield "Until", _moment(ticket.expires_at)
        if event is Tag.APPROVAL_REMINDED:
            yield "Time passed", f"{elapsed(ticket, at)} %"
        return
    if ticket.decided_by:
        yield "Decided by", one_line(ticket.decided_by, LONGEST_FACT)
    if ticket.decision_reason:
        yield "Reason", one_line(ticket.decision_reason, LONGEST_FACT)
    if ticket.edited_digest:
        yield "Changed", "yes, a person changed the arguments"
    if ticket.state is State.APPROVED:
        yield "Good until", _moment(ticket.expires_at)


def _arguments(ticket: Ticket) -> tuple[tuple[tuple[str, str], ...], int]:
    """The values that the call would be made with, as the page shows them: they stand in the ticket after redaction."""
    edited = ticket.edited_arguments
    found = lines(ticket.arguments if edited is None else edited)
    shown = tuple(
        (one_line(one.path or "(all)", LONGEST_PATH), one_line(one.value, LONGEST_VALUE))
        for one in islice(found, MOST_ARGUMENTS)
    )
    return shown, sum(1 for _ in found)


def one_line(text: str, longest: int) -> str:
    """A text as one line in which nothing is invisible and nothing turned round, in about so many characters."""
    told, size = list[str](), 0
    for piece in pieces(text[:longest]):
        told.append(piece.text.replace("\n", "\\n").replace("\t", "\\t"))
        size += len(told[-1])
        if size > longest:
            break
    plain = "".join(told)
    if len(text) <= longest and size <= longest:
        return plain
    return f"{plain[:longest]}… ({len(text)} characters)"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _pairs(pairs: tuple[tuple[str, str], ...]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in pairs]


def _read(value: JsonObject, name: str) -> tuple[tuple[str, str], ...]:
    found = map(jsontree.as_object, jsontree.as_list(value.get(name)))
    return tuple((jsontree.as_text(one.get("name")), jsontree.as_text(one.get("value"))) for one in found)
