"""What the API says and takes, as models.

Answers are made of them, bodies are read by them, and the description is made from them. What is done is in the files
beside this one.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

Reason: TypeAlias = Annotated[str, StringConstraints(max_length=500)]
Name: TypeAlias = Annotated[str, StringConstraints(max_length=300)]
Moment: TypeAlias = Annotated[str, Field(description="RFC 3339 in UTC; empty where it has not come.")]
Scope: TypeAlias = Literal["session", "key", "agent", "user", "team", "tenant", "server", "all"]


class Shape(BaseModel):
    """What all have in common: nothing is in them that is not said here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemPlace(Shape):
    """One thing that is wrong with a request."""

    where: str = Field(description="JSON pointer into the body, or the name of a parameter.")
    what: str


class Problem(Shape):
    """Why there is no answer (RFC 9457)."""

    type: str = Field(description="`urn:wicket:problem:CODE`.")
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable word.")
    errors: list[ProblemPlace] = []


class Me(Shape):
    """Who asks, as Wicket knows them."""

    id: str
    name: str
    user: str
    role: Literal["agent", "viewer", "approver", "auditor", "admin"]
    tenant: str = Field(description="`*` = all.")
    team: str
    permissions: list[str]


class Label(Shape):
    """A label of a session, and what set it."""

    label: str
    source: str
    exchange_id: str
    at: Moment


class Session(Shape):
    """A run of an agent."""

    id: str
    key_id: str
    tenant: str
    agent: str
    plane: str = Field(description="`llm`, `mcp`, or `llm,mcp`.")
    evidence: str = Field(description="How its id is known.")
    rank: int = Field(description="Rung of the evidence; 1 is the strongest.")
    source: str
    verified: bool = Field(description="Whether the evidence rests on what Wicket itself sent.")
    parent_id: str
    joined_id: str
    first_seen: Moment
    last_seen: Moment
    killed: bool
    probation: bool
    labels: list[Label]


class Sessions(Shape):
    """Sessions, those seen last first."""

    items: list[Session]
    next: str | None = Field(description="`cursor` of the next page; null = this is the last.")


class Event(Shape):
    """An event of the audit log."""

    seq: int
    hash: str
    fields: dict[str, JsonValue]


class Events(Shape):
    """Events of the audit log."""

    items: list[Event]
    next: str | None = Field(description="`cursor` of the next page; null = this is the last.")


class Line(Shape):
    """An event as a line of an export: what `wicket audit verify` reads."""

    seq: int
    hash: str
    mac: str
    body: dict[str, JsonValue] = Field(description="The event; canonical JSON, exactly the text that was hashed.")


class Chain(Shape):
    """Where the log ends, with a look at its newest events. `wicket audit verify` checks all of it."""

    count: int
    head: str = Field(description="Hash of the last event; empty in an empty log.")
    checked: int
    sound: bool


class Vote(Shape):
    """What one person decided."""

    by: str
    decision: str
    digest: str
    reason: str
    at: Moment


class Charter(Shape):
    """What a rule asks of those who decide."""

    approvers: list[str]
    quorum: int
    no_self_approval: bool


class Approval(Shape):
    """A call that a person is, or was, asked about."""

    id: str
    state: Literal["pending", "approved", "denied", "expired", "invalidated", "consumed"]
    action: str
    server: str
    tool: str
    provider: str
    model: str
    session: str
    principal: dict[str, JsonValue]
    rule: str
    reason: str
    findings: list[str]
    digest: str = Field(description="SHA-256 of the call as it was asked for.")
    current_digest: str = Field(description="Digest of what is to be decided: another where a person changed it.")
    policy_version: str
    requested_at: Moment
    expires_at: Moment
    approvers: list[Charter]
    approvals: int
    quorum: int
    votes: list[Vote]
    decided_at: Moment
    decided_by: str
    decision_reason: str
    relief: str
    link: str


class ApprovalWhole(Approval):
    """The same with the whole call."""

    call: dict[str, JsonValue]
    edited_arguments: dict[str, JsonValue] | None


class Approvals(Shape):
    """Held calls, the newest first."""

    items: list[Approval]
    next: str | None = Field(description="`cursor` of the next page; null = this is the last.")


class Decision(Shape):
    """What a person decides about a held call."""

    decision: Literal["approve", "deny"]
    digest: str = Field(description="`current_digest` of what was looked at: nothing else is decided about.")
    reason: Reason = ""
    arguments: dict[str, JsonValue] | None = Field(default=None, description="Approve the call with these instead.")
    relief: Annotated[str, StringConstraints(max_length=16)] = Field(
        default="", description="Of a loop: how many further calls are allowed, or `exempt`."
    )


class Confirmation(Shape):
    """That one process has carried out a kill."""

    process: str
    name: str
    at: Moment
    cut: int


class Waiting(Shape):
    """A process that has not said so yet."""

    process: str
    name: str
    seen_at: Moment


class Kill(Shape):
    """What is stopped, or on probation."""

    scope: Scope
    target: str
    reason: str
    actor: str
    requested_at: Moment
    probation: bool
    confirmed: list[Confirmation]
    waiting: list[Waiting]


class Kills(Shape):
    """What is stopped or on probation, the newest first; at most 200."""

    items: list[Kill]


class KillOrder(Shape):
    """What to stop."""

    scope: Scope
    target: Name = Field(default="", description="Its id or name; nothing for `all`.")
    reason: Reason = Field(min_length=1, description="The agent is told.")


class Revival(Shape):
    """What may go on."""

    scope: Scope
    target: Name = ""
    reason: Reason = ""
    probation: bool = Field(default=False, description="Only so far that a person is asked about each tool call.")


class Switched(Shape):
    """What became of it."""

    scope: Scope
    target: str
    killed: bool
    changed: bool = Field(description="False: it stood so before.")


class Pin(Shape):
    """One thing that a server says of itself."""

    id: str
    state: Literal["trusted", "pending", "rejected"]
    server: str
    kind: str
    name: str
    rule: str
    reason: str
    trusted: str = Field(description="Digest of what is trusted; empty = nothing is.")
    trusted_at: Moment
    trusted_by: str
    given: str = Field(description="Digest of what was given last.")
    given_at: Moment
    decided_by: str
    decision_reason: str


class Difference(Shape):
    """One value that is not the same in what is trusted and what was given."""

    path: str
    before: str | None
    after: str | None


class PinWhole(Pin):
    """The same with what differs."""

    differences: list[Difference]


class Pins(Shape):
    """Pins, those that wait first."""

    items: list[Pin]
    next: str | None = Field(description="`cursor` of the next page; null = this is the last.")


class PinDecision(Shape):
    """Whether exactly what the id names is trusted."""

    decision: Literal["approve", "reject"]
    reason: Reason = ""


class Server(Shape):
    """How an MCP server is, as one process that runs it says."""

    server: str
    process: str
    transport: str
    state: str
    since: Moment
    starts: int
    restarts: int
    failures: int
    last_error: str
    last_error_at: Moment
    tools: int
    seen_at: Moment


class Servers(Shape):
    """How every configured server is."""

    items: list[Server]


class Key(Shape):
    """A gateway key; the key itself is nowhere."""

    id: str
    state: Literal["valid", "expired", "revoked"]
    name: str
    role: Literal["agent", "viewer", "approver", "auditor", "admin"]
    tenant: str
    team: str
    agent: str
    user: str
    models: list[str]
    servers: list[str]
    created_at: Moment
    expires_at: Moment
    revoked_at: Moment
    last_used_at: Moment = Field(description="When a run of it was last seen; empty = never.")


class Keys(Shape):
    """Keys, the newest first."""

    items: list[Key]
    next: str | None = Field(description="`cursor` of the next page; null = this is the last.")


class Revocation(Shape):
    """Why a key is revoked."""

    reason: Reason = Field(min_length=1)


class Revoked(Shape):
    """What became of it."""

    id: str
    changed: bool = Field(description="False: it was revoked before.")
