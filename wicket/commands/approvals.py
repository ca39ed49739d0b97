"""`wicket approvals`: see the calls that wait for a person, and decide."""

from pathlib import Path

import orjson

from approvals.amendment import AmendmentError, arguments_of, changes, told
from approvals.quorum import WORDS, in_words
from approvals.terms import GrantError, Wish, wish_of
from approvals.ticket import OPEN, ReliefError, State, Ticket
from governance import jsontree
from governance.clock import rfc3339
from governance.jsontree import Json, JsonObject
from governance.verdict import NO_RELIEF, Relief, relief_of
from wicket import delegating
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, approver, in_office
from wicket.terminal import reveal, table

_COLUMNS = ("id", "state", "server", "name", "agent", "rule", "expires_at")


def list_tickets(situation: Situation) -> Exit:
    """List tickets, the open ones unless asked otherwise."""
    states = () if situation.options.all else tuple(OPEN)

    async def work(office: Office) -> list[Ticket]:
        return await office.desk.tickets(states, situation.options.limit)

    rows = [_summary(ticket) for ticket in in_office(situation, work)]
    situation.terminal.show(list(rows), table(rows, _COLUMNS, "nothing waits"))
    return Exit.DONE


def show(situation: Situation) -> Exit:
    """Show one ticket with the whole call, invisible characters made visible."""
    ticket_id = str(situation.options.id)

    async def work(office: Office) -> tuple[Ticket, str]:
        ticket = await office.desk.get(ticket_id)
        if ticket is None:
            raise _absent(ticket_id)
        return ticket, office.desk.link(ticket_id)

    ticket, link = in_office(situation, work)
    shown = {**_summary(ticket), **_rest(ticket), "link": link}
    lines = [f"{name.replace('_', ' '):<16}{reveal(str(value) or '-')}" for name, value in shown.items()]
    arguments = orjson.dumps(ticket.arguments, option=orjson.OPT_INDENT_2).decode().split("\n")
    situation.terminal.show(
        {**shown, "arguments": ticket.arguments}, [*lines, "arguments", *(f"  {reveal(line)}" for line in arguments)]
    )
    return Exit.DONE


def approve(situation: Situation) -> Exit:
    """Allow one exact call, once."""
    return _decide(situation, allow=True)


def deny(situation: Situation) -> Exit:
    """Refuse a call; the agent is told the reason."""
    return _decide(situation, allow=False)


def _decide(situation: Situation, *, allow: bool) -> Exit:
    options = situation.options
    ticket_id, reason = str(options.id), str(options.reason)
    arguments = _arguments(options.arguments_file) if allow and options.arguments_file else None

    relief = _relief(situation) if allow else NO_RELIEF
    grant = _wish(situation) if allow else None

    async def work(office: Office) -> Ticket:
        if allow:
            decided = await office.desk.approve(
                ticket_id, by=approver(), reason=reason, digest=str(options.digest), arguments=arguments, relief=relief,
                grant=grant,
            )  # fmt: skip
        else:
            decided = await office.desk.deny(ticket_id, by=approver(), reason=reason)
        if decided is None:
            raise _absent(ticket_id)
        if decided.refusal:
            raise CommandError(Exit.ABSENT, f"nothing was changed: {decided.refusal}")
        if not decided.made:
            raise CommandError(
                Exit.ABSENT,
                f"the ticket `{ticket_id}` is `{decided.ticket.state}` already, so nothing was changed: "
                "if the agent makes the call again, a new ticket is opened",
            )
        return decided.ticket

    try:
        ticket = in_office(situation, work)
    except (AmendmentError, GrantError, ReliefError) as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    said = f"{ticket.state} `{ticket.id}`"
    if allow and ticket.state is State.PENDING:
        said = f"approved `{ticket.id}`: {ticket.standing.have} of {ticket.standing.wanted} approvals"
    situation.terminal.show(_summary(ticket), said)
    return Exit.DONE


def _relief(situation: Situation) -> Relief:
    if situation.options.exempt and situation.options.more:
        raise CommandError(Exit.USAGE, "give one of `--more` and `--exempt`: who lets a tool alone counts no calls")
    try:
        return Relief(exempt=True) if situation.options.exempt else relief_of(situation.options.more)
    except ValueError as error:
        raise CommandError(Exit.USAGE, f"`--more`: {error}") from None


def _wish(situation: Situation) -> Wish | None:
    """What is allowed beyond the call; nothing where nothing of it is said."""
    options = situation.options
    if not (options.grant or options.arg or options.any_session or options.minutes or options.until or options.uses):
        return None
    pairs = [one.partition("=") for one in options.arg]
    asked: JsonObject = {"arguments": {pointer: _value(text) for pointer, _, text in pairs}}
    asked["session"] = not options.any_session
    asked |= {name: getattr(options, name) for name in ("minutes", "until", "uses") if getattr(options, name)}
    try:
        return wish_of(asked)
    except GrantError as error:
        raise CommandError(Exit.USAGE, str(error)) from None


def _value(text: str) -> Json:
    """What an argument may be: JSON, as a rule's `args` have it, or else a pattern of a text."""
    try:
        return jsontree.parse(text.encode("utf-8", "surrogatepass"))
    except jsontree.MalformedError:
        return text


def _summary(ticket: Ticket) -> dict[str, Json]:
    principal = ticket.bound.get("principal")
    agent = principal.get("agent", "") if isinstance(principal, dict) else ""
    return {
        "id": ticket.id,
        "state": ticket.state.value,
        "server": ticket.field("server") or ticket.field("provider"),
        "name": ticket.field("name") or ticket.field("model"),
        "agent": agent,
        "rule": ticket.rule,
        "expires_at": rfc3339(ticket.expires_at),
    }


def _rest(ticket: Ticket) -> dict[str, Json]:
    edited = ticket.edited_arguments
    return {
        "reason": ticket.reason,
        "session": ticket.field("session"),
        "action": ticket.field("action"),
        "requested_at": rfc3339(ticket.requested_at),
        "approvers": _wanted(ticket),
        "approvals": f"{ticket.standing.have} of {ticket.standing.wanted}",
        "decisions": ", ".join(f"{one.by.name} {WORDS[one.decision]}" for one in ticket.votes),
        "decided_by": ticket.decided_by,
        "decision_reason": ticket.decision_reason,
        "relief": ticket.relief.text,
        "grant": orjson.dumps(ticket.terms.form).decode() if ticket.terms is not None else "",
        "digest": ticket.current,
        "changed": told(changes(ticket.arguments, edited)) if edited is not None else "",
    }


def _arguments(path: str) -> JsonObject:
    try:
        return arguments_of(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(Exit.USAGE, f"`{path}` cannot be read ({type(error).__name__})") from None
    except AmendmentError as error:
        raise CommandError(Exit.USAGE, f"`{path}`: {error}") from None


def _wanted(ticket: Ticket) -> str:
    """Who must approve, in words: every part must be met."""
    return "; ".join(in_words(one) for one in ticket.charters)


def _absent(ticket_id: str) -> CommandError:
    return CommandError(Exit.ABSENT, f"there is no ticket `{ticket_id}`: `wicket approvals list --all` shows all")


_ID = argument("id", help="id of the ticket")
_TAKEN = {Exit.ABSENT: "there is no such ticket, it was settled before, or others must decide about it"}

COMMANDS = (
    Command(
        "approvals list",
        "list calls that wait for a person",
        list_tickets,
        (
            argument("--all", action="store_true", help="decided ones too"),
            argument("--limit", type=int, default=200, help="most tickets to show (default 200)"),
        ),
    ),
    Command("approvals show", "show a call with all its arguments", show, (_ID,)),
    Command(
        "approvals approve",
        "allow a call once",
        approve,
        (
            _ID,
            argument("--reason", default="", help="why; kept in the audit log"),
            argument("--digest", default="", help="digest that `show` gave; needed where somebody changed the call"),
            argument("--arguments-file", default="", help="JSON file with the arguments to run the call with instead"),
            argument("--more", default="", metavar="N", help="of a loop: let it go on for N more calls unasked"),
            argument("--exempt", action="store_true", help="of a loop: let the tool alone for the rest of the session"),
            argument("--grant", action="store_true", help="let the same call be made again unasked, in its session"),
            argument(
                "--arg",
                action="append",
                default=[],
                metavar="POINTER=PATTERN",
                help='of a grant: what an argument may be instead, `/path=/tmp/*`, or JSON as in rules: `/n={"le": 5}`',
            ),
            argument("--any-session", action="store_true", help="of a grant: in every session of this caller"),
            argument(
                "--minutes", type=float, default=0, help="of a grant: for how long; the rule's limit unless given"
            ),
            argument("--until", default="", metavar="TIME", help="of a grant: until when, `2026-11-21T12:00:00Z`"),
            argument("--uses", type=int, default=0, help="of a grant: for how many further calls"),
        ),
        _TAKEN,
    ),
    Command(
        "approvals deny",
        "refuse a call",
        deny,
        (_ID, argument("--reason", default="", help="why; the agent is told")),
        _TAKEN,
    ),
    *delegating.COMMANDS,
)
