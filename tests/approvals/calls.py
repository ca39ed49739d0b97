"""Exchanges and verdicts for the tests of approvals."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from approvals.quorum import Approver, Vote
from approvals.ticket import State, Ticket, binding
from governance import jsontree
from governance.exchange import Action, Body, Exchange, Principal, Resource, SessionRef
from governance.jsontree import Json
from governance.verdict import Decision, Verdict

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOLD = Verdict(Decision.HOLD, by="policy", rule="ask-before-writing", reason="writes need a person", version="v1")

LOOP = Verdict(Decision.HOLD, by="loop", rule="loop.repeat", reason="the same call was made 20 times")


def tool_call(
    arguments: Json = None,
    *,
    id: str = "exc_1",  # noqa: A002 - the field's name
    session: str = "ses_1",
    key: str = "key_1",
    user: str = "ann",
    **resource: str,
) -> Exchange:
    """A call of the tool `write_file` on the server `files`."""
    params: Json = {"name": "write_file", "arguments": {"path": "/tmp/a", "n": 1} if arguments is None else arguments}
    return Exchange(
        id=id,
        at=AT,
        action=Action.TOOL_CALL,
        principal=Principal(key, tenant="acme", agent="builder", user=user),
        resource=replace(Resource(server="files", name="write_file", definition="d" * 64), **resource),
        session=SessionRef(session, "explicit", 1),
        request=Body({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}),
    )


def ticket_of(exchange: Exchange) -> Ticket:
    """A fresh ticket of a call."""
    form = binding(exchange, "v1")
    return Ticket(
        id="tkt_1",
        digest=jsontree.digest(form),
        form=jsontree.canonical(form).decode(),
        state=State.PENDING,
        exchange_id=exchange.id,
        rule="r",
        reason="because",
        requested_at=AT,
        expires_at=AT + timedelta(seconds=300),
    )


def vote_of(decision: str, ticket: Ticket, at: datetime) -> Vote:
    """What Ann decides about a ticket as she sees it."""
    return Vote(Approver("ann", "user:ann", "ann"), decision, ticket.digest, "", at)
