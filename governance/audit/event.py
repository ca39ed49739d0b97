"""What an audit event is: a tag from a closed list, and flat fields.

How events become durable and chained is `governance/audit/log.py`; nothing here does I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from governance.store.work import Work

Value: TypeAlias = str | int | bool | list[str] | None
"""What a field may hold. No floats: money is decimal text, time is RFC 3339, so the canonical form is one."""


class Tag(StrEnum):
    """Every kind of event, `subject.what_happened`. Each is explained in `docs/audit.md`, and a test holds that."""

    EXCHANGE_ADMITTED = "exchange.admitted"
    EXCHANGE_REFUSED = "exchange.refused"
    EXCHANGE_COMPLETED = "exchange.completed"
    EXCHANGE_WITHHELD = "exchange.withheld"
    MESSAGE_FLAGGED = "message.flagged"
    MESSAGE_WITHHELD = "message.withheld"
    REQUEST_MALFORMED = "request.malformed"
    REQUEST_UNAUTHENTICATED = "request.unauthenticated"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_VOTED = "approval.voted"
    APPROVAL_GRANTED = "approval.granted"
    APPROVAL_DENIED = "approval.denied"
    APPROVAL_REMINDED = "approval.reminded"
    APPROVAL_ESCALATED = "approval.escalated"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_CONSUMED = "approval.consumed"
    APPROVAL_PROLONGED = "approval.prolonged"
    APPROVAL_GRANT_ENDED = "approval.grant_ended"
    DELEGATION_GIVEN = "delegation.given"
    DELEGATION_ENDED = "delegation.ended"
    SESSION_KILLED = "session.killed"
    SESSION_REVIVED = "session.revived"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    PERSON_SIGNED_IN = "person.signed_in"
    PERSON_SIGNED_OUT = "person.signed_out"
    PERSON_REFUSED = "person.refused"
    PERSON_REVOKED = "person.revoked"
    PERSON_RESTORED = "person.restored"
    SERVER_SIGNED_IN = "server.signed_in"
    SERVER_SIGNED_OUT = "server.signed_out"
    PIN_TRUSTED = "pin.trusted"
    PIN_HELD = "pin.held"
    PIN_RESTORED = "pin.restored"
    PIN_APPROVED = "pin.approved"
    PIN_REJECTED = "pin.rejected"
    POLICY_LOADED = "policy.loaded"
    POLICY_REJECTED = "policy.rejected"
    POLICY_ROLLED_BACK = "policy.rolled_back"
    AUDIT_VERIFIED = "audit.verified"
    PROCESS_STARTED = "process.started"
    PROCESS_STOPPED = "process.stopped"


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it has a place in the chain."""

    tag: Tag
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an event is durable: its place and its hash."""

    seq: int
    hash: str


class AuditError(Exception):
    """The log could not be written. Whoever waited for the event must refuse."""


class AuditLog(Protocol):
    """A place that keeps events."""

    async def append(self, draft: Draft, within: Work[Any] | None = None) -> Receipt:
        """Make an event durable, together with what `within` does in the same transaction: both or neither.

        A caller that is cancelled while it waits leaves the event in its place.

        Raises:
            AuditError: the event is not durable, or a field holds what a field may not hold.
            ConflictError: `within` broke a rule of the tables; nothing was written. Whatever else `within` raises
                comes out as it is, and nothing was written either.
        """
        ...
