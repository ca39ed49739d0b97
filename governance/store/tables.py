"""Every table, as a class whose instances are rows.

The rooms that use a table import its class in their `store.py`; nobody else does. The tables themselves are made by
the numbered migrations beside this file, never by `create_all`, and a test holds the two equal.

Times are RFC 3339 text in UTC with microseconds (`governance.clock.rfc3339`), so both databases sort them alike.
Empty text means "none"; `None` stands only where a time has not come yet. Money is in millionths of a US dollar.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Text
from sqlmodel import Field, SQLModel


def _named(table: str) -> Any:
    """The name of a table. SQLModel declares `__tablename__` as a descriptor, which a plain text is not."""
    return table


class EventRow(SQLModel, table=True):
    """One event of the audit log (`governance/audit`). Written once, never changed."""

    __tablename__ = _named("audit_events")

    seq: int = Field(primary_key=True, sa_type=BigInteger, description="Place in the chain, from 0.")
    body: str = Field(sa_type=Text, description="The event: canonical JSON, exactly the bytes that are hashed.")
    hash: str = Field(sa_type=Text, description="Hex of SHA-256(previous hash, seq, SHA-256(body)).")
    mac: str = Field(sa_type=Text, description="Hex of HMAC-SHA-256(audit key, hash).")
    at: str = Field(sa_type=Text, description="When; like all below a copy from the body, to search by.")
    event_type: str = Field(sa_type=Text, description="Tag of the event.")
    tenant_id: str = Field(default="", sa_type=Text, description="Tenant.")
    session_id: str = Field(default="", sa_type=Text, description="Session.")
    exchange_id: str = Field(default="", sa_type=Text, description="Exchange.")
    key_id: str = Field(default="", sa_type=Text, description="Gateway key.")
    model: str = Field(default="", sa_type=Text, description="Model.")
    tool: str = Field(default="", sa_type=Text, description="Tool.")


class HeadRow(SQLModel, table=True):
    """Where the audit chain ends. One row, with `id` 1: the next writer, in whatever process, goes on from here."""

    __tablename__ = _named("audit_head")

    id: int = Field(default=1, primary_key=True, sa_type=BigInteger, description="Always 1.")
    seq: int = Field(sa_type=BigInteger, description="Place of the last event; -1 in an empty log.")
    hash: str = Field(sa_type=Text, description="Hash of the last event; 64 zeros in an empty log.")


class KillRow(SQLModel, table=True):
    """A switch that was thrown (`sessions/killswitch.py`). Alive again = `revived_at` is set; rows are kept."""

    __tablename__ = _named("kills")

    scope: str = Field(primary_key=True, sa_type=Text, description="What is stopped: `sessions.killswitch.Scope`.")
    target: str = Field(primary_key=True, sa_type=Text, description="Id within the scope; empty for `all`.")
    reason: str = Field(default="", sa_type=Text, description="Why, as the person or the rule said it.")
    actor: str = Field(default="", sa_type=Text, description="Who threw it.")
    at: str = Field(sa_type=Text, description="When.")
    revived_at: str | None = Field(default=None, sa_type=Text, description="When it was lifted.")
    revived_by: str = Field(default="", sa_type=Text, description="Who lifted it.")
    epoch: int = Field(
        sa_type=BigInteger,
        index=True,
        description="Grows by one with every kill and revival; the largest is the state's.",
    )
    probation: int = Field(default=0, description="1 = it goes on, but a person is asked about each tool call.")


class ConfirmationRow(SQLModel, table=True):
    """That one process has carried out a kill: nothing of it runs there any more (`sessions/witness.py`)."""

    __tablename__ = _named("confirmations")

    scope: str = Field(primary_key=True, sa_type=Text, description="Scope of the kill.")
    target: str = Field(primary_key=True, sa_type=Text, description="Its target.")
    process: str = Field(primary_key=True, sa_type=Text, description="Random id of the process.")
    epoch: int = Field(sa_type=BigInteger, description="Epoch of the kill: a later one must be confirmed anew.")
    name: str = Field(sa_type=Text, description="Kind of the process: `gateway`, `mcp`, `stdio` or `console`.")
    at: str = Field(sa_type=Text, description="When the last of it had ended.")
    cut: int = Field(default=0, sa_type=BigInteger, description="How much was under way and was cut.")


class ProcessRow(SQLModel, table=True):
    """A proxy process that is up, or was a moment ago (`sessions/witness.py`)."""

    __tablename__ = _named("processes")

    id: str = Field(primary_key=True, sa_type=Text, description="Random id.")
    name: str = Field(sa_type=Text, description="Kind of the process: `gateway`, `mcp`, `stdio` or `console`.")
    started_at: str = Field(sa_type=Text, description="When it began to serve.")
    seen_at: str = Field(sa_type=Text, description="When it last said that it is up.")


class SessionRow(SQLModel, table=True):
    """A run of an agent (`sessions/store.py`)."""

    __tablename__ = _named("sessions")

    id: str = Field(primary_key=True, sa_type=Text, description="Internal id, scoped by the authenticated key.")
    external_id: str = Field(default="", sa_type=Text, index=True, description="The id as the agent said it.")
    key_id: str = Field(sa_type=Text, description="Gateway key that the session belongs to.")
    tenant: str = Field(default="", sa_type=Text, description="Tenant of the key.")
    agent: str = Field(default="", sa_type=Text, description="Agent, as far as it is known.")
    evidence: str = Field(default="", sa_type=Text, description="How the id is known.")
    rank: int = Field(default=0, description="Rung of the evidence: 1 is the strongest.")
    source: str = Field(default="", sa_type=Text, description="Header or member it was read from.")
    plane: str = Field(default="", sa_type=Text, description="`llm`, `mcp` or both, comma-separated.")
    parent_id: str = Field(default="", sa_type=Text, description="Internal id of the session that started this one.")
    joined_id: str = Field(
        default="",
        sa_type=Text,
        index=True,
        description="Internal id of the run that this transport turned out to be of.",
    )
    verified: bool = Field(default=False, sa_type=Boolean, description="Whether the evidence rests on what we sent.")
    first_seen: str = Field(sa_type=Text, description="When the first exchange came.")
    last_seen: str = Field(sa_type=Text, index=True, description="When the newest exchange came.")


class SessionLabelRow(SQLModel, table=True):
    """A label that a session carries (`sessions/labels/store.py`). Rows are only added: labels grow."""

    __tablename__ = _named("session_labels")

    session_id: str = Field(primary_key=True, sa_type=Text, description="Internal id of the session.")
    label: str = Field(primary_key=True, sa_type=Text, description="The label, as an operator or Wicket names it.")
    source: str = Field(sa_type=Text, description="What set it: a server, a tool's glob, a kind of finding or a rule.")
    exchange_id: str = Field(sa_type=Text, description="Exchange that set it.")
    at: str = Field(sa_type=Text, description="When.")
    epoch: int = Field(sa_type=BigInteger, unique=True, description="Its place among all labels ever set.")


class ProposalRow(SQLModel, table=True):
    """A tool call that a model asked for (`sessions/proposals.py`). Kept for an hour; no arguments are kept."""

    __tablename__ = _named("proposals")

    seq: int = Field(primary_key=True, sa_type=BigInteger, description="Grows in the order of commits.")
    at: str = Field(sa_type=Text, index=True, description="When the model asked for it.")
    key_id: str = Field(sa_type=Text, description="Gateway key that it was answered to.")
    session_id: str = Field(sa_type=Text, description="Internal id of the run.")
    exchange_id: str = Field(sa_type=Text, description="The model call.")
    call_id: str = Field(default="", sa_type=Text, description="What the provider called it; empty = nothing unique.")
    name: str = Field(sa_type=Text, description="The tool as the model knows it.")
    arguments: str = Field(default="", sa_type=Text, description="SHA-256 of the canonical arguments; empty = no JSON.")
    subagent: str = Field(default="", sa_type=Text, description="The sub-agent whose model asked.")


class KeyRow(SQLModel, table=True):
    """A gateway key (`governance/identity`). The key itself is nowhere: only its hash."""

    __tablename__ = _named("keys")

    id: str = Field(primary_key=True, sa_type=Text, description="Public id.")
    hash: str = Field(unique=True, sa_type=Text, description="Hex of SHA-256 over the key.")
    name: str = Field(default="", sa_type=Text, description="What people call it.")
    role: str = Field(default="agent", sa_type=Text, description="`agent`, `viewer`, `approver`, `auditor` or `admin`.")
    tenant: str = Field(default="default", sa_type=Text, description="Tenant.")
    team: str = Field(default="", sa_type=Text, description="Team.")
    agent: str = Field(default="", sa_type=Text, description="Agent it was given to.")
    user: str = Field(default="", sa_type=Text, description="Person it stands for.")
    models: str = Field(default='["*"]', sa_type=Text, description="JSON array: globs of the models it may use.")
    servers: str = Field(default='["*"]', sa_type=Text, description="JSON array: globs of the servers it may reach.")
    created_at: str = Field(sa_type=Text, description="When it was made.")
    expires_at: str | None = Field(default=None, sa_type=Text, description="From when on it is refused.")
    revoked_at: str | None = Field(default=None, sa_type=Text, description="When it was revoked.")
    last_used_at: str | None = Field(default=None, sa_type=Text, description="About when it was last used.")


class GrantRow(SQLModel, table=True):
    """What an upstream server granted us (`governance/vault`): tokens, and the client they were granted to."""

    __tablename__ = _named("grants")

    server: str = Field(primary_key=True, sa_type=Text, description="Name of the server in the configuration.")
    sealed: str = Field(sa_type=Text, description="The grant, sealed by a key grown from the master key.")
    updated_at: str = Field(sa_type=Text, description="When it was granted or renewed.")
    claimed_until: str = Field(default="", sa_type=Text, description="How long one process has its renewal alone.")


class TicketRow(SQLModel, table=True):
    """A call that waits for a person (`approvals/store.py`), and what became of it.

    At most one ticket of a digest is open (`pending` or `approved`): a unique partial index holds that.
    """

    __tablename__ = _named("tickets")

    id: str = Field(primary_key=True, sa_type=Text, description="Random id, the one in the link.")
    digest: str = Field(sa_type=Text, index=True, description="Hex of SHA-256 over the canonical form of the call.")
    state: str = Field(
        sa_type=Text,
        index=True,
        description="`pending`, `approved`, `denied`, `expired`, `consumed` or `invalidated`.",
    )
    action: str = Field(sa_type=Text, description="Action of the exchange.")
    server: str = Field(default="", sa_type=Text, description="MCP server, or provider of a model call.")
    tool: str = Field(default="", sa_type=Text, description="Tool, or model.")
    definition: str = Field(default="", sa_type=Text, description="Digest of the tool's definition.")
    key_id: str = Field(sa_type=Text, description="Gateway key of the principal.")
    tenant: str = Field(default="", sa_type=Text, description="Tenant of the principal.")
    team: str = Field(default="", sa_type=Text, description="Team of the principal.")
    agent: str = Field(default="", sa_type=Text, description="Agent of the principal.")
    user: str = Field(default="", sa_type=Text, description="Person of the principal.")
    session_id: str = Field(default="", sa_type=Text, index=True, description="Session of the exchange.")
    exchange_id: str = Field(default="", sa_type=Text, description="Exchange that first asked.")
    policy_version: str = Field(default="", sa_type=Text, description="Version of the policy that asked.")
    rule: str = Field(default="", sa_type=Text, description="Rule that asked.")
    reason: str = Field(default="", sa_type=Text, description="Why the rule asked.")
    findings: str = Field(default="", sa_type=Text, description="Kinds of what detectors found, space-separated.")
    form: str = Field(sa_type=Text, description="The call as `digest` covers it, canonical JSON: what the person sees.")
    created_at: str = Field(sa_type=Text, description="When it was asked.")
    expires_at: str = Field(sa_type=Text, description="When silence becomes a denial.")
    decided_at: str | None = Field(default=None, sa_type=Text, description="When a person decided.")
    decided_by: str = Field(default="", sa_type=Text, description="Who decided.")
    decision_reason: str = Field(default="", sa_type=Text, description="What they said; reaches the agent.")
    relief: str = Field(default="", sa_type=Text, description="Allowed beyond the call: `exempt`, or how often more.")
    told_at: str | None = Field(default=None, sa_type=Text, description="When the agent was told a refusal, once.")
    consumed_at: str | None = Field(default=None, sa_type=Text, description="When the approval was used, once.")
    consumed_by: str = Field(default="", sa_type=Text, description="Exchange that used it.")
    remind_at: str | None = Field(default=None, sa_type=Text, description="When people are reminded of it next.")
    escalate_at: str | None = Field(default=None, sa_type=Text, description="When others may decide, too, next.")
    edited_form: str = Field(default="", sa_type=Text, description="The form with arguments that a person wrote.")
    edited_digest: str = Field(default="", sa_type=Text, description="Hex of SHA-256 over it.")
    votes: int = Field(default=0, description="How many decisions of people there are; grows with each.")


class VoteRow(SQLModel, table=True):
    """One decision of one person about a ticket (`approvals/store.py`). Written once, never changed."""

    __tablename__ = _named("votes")

    ticket_id: str = Field(primary_key=True, sa_type=Text, description="Ticket.")
    person: str = Field(primary_key=True, sa_type=Text, description="Who counts once, whatever the number of keys.")
    decision: str = Field(primary_key=True, sa_type=Text, description="`approve` or `deny`.")
    digest: str = Field(primary_key=True, sa_type=Text, description="Digest of the call that was on the screen.")
    place: int = Field(description="Which of the ticket's decisions it is, from 1.")
    name: str = Field(sa_type=Text, description="How the decision is signed.")
    user: str = Field(default="", sa_type=Text, description="The person by name, where known.")
    role: str = Field(default="", sa_type=Text, description="Role of the key at that moment.")
    team: str = Field(default="", sa_type=Text, description="Team of the key at that moment.")
    reason: str = Field(default="", sa_type=Text, description="What they said.")
    at: str = Field(sa_type=Text, description="When.")
    for_person: str = Field(default="", sa_type=Text, description="In whose place; empty = in their own, as all below.")
    for_name: str = Field(default="", sa_type=Text, description="How that person signs.")
    for_user: str = Field(default="", sa_type=Text, description="That person by name.")
    for_role: str = Field(default="", sa_type=Text, description="Role of that person's key.")
    for_team: str = Field(default="", sa_type=Text, description="Its team.")


class DefinitionRow(SQLModel, table=True):
    """A tool's definition as a server gave it (`governance/catalog`)."""

    __tablename__ = _named("definitions")

    server: str = Field(primary_key=True, sa_type=Text, description="MCP server.")
    name: str = Field(primary_key=True, sa_type=Text, description="Tool.")
    digest: str = Field(primary_key=True, sa_type=Text, description="Hex of SHA-256 over the canonical definition.")
    definition: str = Field(sa_type=Text, description="The whole definition, JSON.")
    first_seen: str = Field(sa_type=Text, description="When it was first given.")
    last_seen: str = Field(sa_type=Text, description="When it was last given.")


class PinRow(SQLModel, table=True):
    """One thing that a server says of itself, as it is trusted and as it was given last (`governance/pins`)."""

    __tablename__ = _named("pins")

    server: str = Field(primary_key=True, sa_type=Text, description="MCP server.")
    kind: str = Field(
        primary_key=True, sa_type=Text, description="`tool`, `prompt`, `template`, `instructions`, `set`."
    )
    name: str = Field(primary_key=True, sa_type=Text, description="Its name; empty where there is only one.")
    state: str = Field(default="", sa_type=Text, description="`trusted`, `pending` or `rejected`.")
    digest: str = Field(default="", sa_type=Text, description="Digest of what is trusted; empty = nothing is.")
    definition: str = Field(default="", sa_type=Text, description="What is trusted, JSON.")
    live: str = Field(default="", sa_type=Text, description="Digest of what was given last.")
    live_definition: str = Field(default="", sa_type=Text, description="What was given last, JSON.")
    rule: str = Field(default="", sa_type=Text, description="Why it waits.")
    reason: str = Field(default="", sa_type=Text, description="The same in words.")
    live_at: str = Field(default="", sa_type=Text, description="When that was first given.")
    trusted_at: str = Field(default="", sa_type=Text, description="When it was trusted.")
    trusted_by: str = Field(default="", sa_type=Text, description="By whom: `first use`, `manifest`, or a person.")
    decided_by: str = Field(default="", sa_type=Text, description="Who decided last.")
    decision_reason: str = Field(default="", sa_type=Text, description="Why.")
    changed_at: str = Field(default="", sa_type=Text, description="When this row changed last.")


class CounterRow(SQLModel, table=True):
    """What was used by somebody in a window of time (`governance/budget`)."""

    __tablename__ = _named("counters")

    scope: str = Field(primary_key=True, sa_type=Text, description="Whose: for example `tenant:acme`.")
    window: str = Field(primary_key=True, sa_type=Text, description="Kind of window: for example `day`.")
    started_at: str = Field(primary_key=True, sa_type=Text, description="Start of the window.")
    micro_usd: int = Field(default=0, sa_type=BigInteger, description="Money, in millionths of a US dollar.")
    tokens: int = Field(default=0, sa_type=BigInteger, description="Tokens, in and out.")
    calls: int = Field(default=0, sa_type=BigInteger, description="Exchanges.")


class DeliveryRow(SQLModel, table=True):
    """A webhook message on its way (`approvals/webhook.py`)."""

    __tablename__ = _named("deliveries")

    id: str = Field(primary_key=True, sa_type=Text, description="Message id, the same in every attempt.")
    event_id: str = Field(default="", sa_type=Text, description="What it tells of, for example a ticket's id.")
    url_digest: str = Field(sa_type=Text, description="Hex of SHA-256 over the address, which may hold a secret.")
    body: str = Field(sa_type=Text, description="The JSON that is sent.")
    state: str = Field(sa_type=Text, index=True, description="`waiting`, `delivered` or `failed`.")
    attempt: int = Field(default=0, description="Attempts made.")
    next_at: str = Field(sa_type=Text, description="When the next attempt is due.")
    created_at: str = Field(sa_type=Text, description="When it was written.")


class EndpointRow(SQLModel, table=True):
    """A webhook endpoint that answered 410 and is sent nothing any more (`approvals/webhook.py`)."""

    __tablename__ = _named("endpoints")

    url_digest: str = Field(primary_key=True, sa_type=Text, description="Hex of SHA-256 over the address.")
    disabled_at: str = Field(sa_type=Text, description="When it said that it is gone.")


class ServerHealthRow(SQLModel, table=True):
    """How an MCP server is, as one process that runs it said last (`governance/health`). Old rows mean nothing."""

    __tablename__ = _named("server_health")

    server: str = Field(primary_key=True, sa_type=Text, description="Name of the server in the configuration.")
    process: str = Field(primary_key=True, sa_type=Text, description="Random id of the process that says so.")
    transport: str = Field(default="", sa_type=Text, description="`stdio`, `http` or `sse`.")
    state: str = Field(sa_type=Text, description="`unknown`, `ready`, `failing` or `stopped`.")
    since: str = Field(default="", sa_type=Text, description="Since when the state is so.")
    starts: int = Field(default=0, sa_type=BigInteger, description="How often it was started or connected to.")
    restarts: int = Field(default=0, sa_type=BigInteger, description="How many of those followed a failure.")
    failures: int = Field(default=0, sa_type=BigInteger, description="How often in a row it failed up to now.")
    last_error: str = Field(default="", sa_type=Text, description="How it failed last, in our own words.")
    last_error_at: str = Field(default="", sa_type=Text, description="When that was.")
    tools: int = Field(default=0, sa_type=BigInteger, description="How many tools it has ever listed.")
    seen_at: str = Field(sa_type=Text, description="When the process said so last.")


class LoginRow(SQLModel, table=True):
    """A one-time link or a session of the console (`console`). The token itself is nowhere: only its hash."""

    __tablename__ = _named("logins")

    hash: str = Field(primary_key=True, sa_type=Text, description="Hex of SHA-256 over the token.")
    kind: str = Field(sa_type=Text, description="`link`, `session`, or `used`: a sign-in that came back, once.")
    subject: str = Field(sa_type=Text, description="Id of the key that the person holds, or of the person.")
    created_at: str = Field(sa_type=Text, description="When it was made.")
    expires_at: str = Field(sa_type=Text, description="From when on it is refused.")
    used_at: str | None = Field(default=None, sa_type=Text, description="When a link was used, once.")


class PersonRow(SQLModel, table=True):
    """Somebody who signed in by the identity provider (`console/people`), and what they may do."""

    __tablename__ = _named("people")

    id: str = Field(primary_key=True, sa_type=Text, description="Public id, made from the issuer and the subject.")
    issuer: str = Field(sa_type=Text, description="Who vouches for them.")
    subject: str = Field(sa_type=Text, description="What the issuer knows them by, for ever.")
    user: str = Field(default="", sa_type=Text, description="The person by name, as keys and rules name people.")
    role: str = Field(sa_type=Text, description="`viewer`, `approver`, `auditor` or `admin`.")
    tenant: str = Field(default="", sa_type=Text, description="Tenant; `*` = all.")
    team: str = Field(default="", sa_type=Text, description="Team.")
    terms: str = Field(default="", sa_type=Text, description="Digest of the settings by which the role was given.")
    created_at: str = Field(sa_type=Text, description="When they first came.")
    signed_in_at: str = Field(sa_type=Text, description="When they last signed in.")
    revoked_at: str | None = Field(default=None, sa_type=Text, description="When they were shut out.")


class AnswerRow(SQLModel, table=True):
    """What a request of the API was answered that may be made again (`console/v1/store.py`). Kept for a day."""

    __tablename__ = _named("answers")

    name: str = Field(primary_key=True, sa_type=Text, description="Hex of SHA-256 over who asked and their own key.")
    request: str = Field(sa_type=Text, description="Hex of SHA-256 over what was asked.")
    status: int = Field(default=0, description="Status of the answer; 0 = there is none yet.")
    body: str = Field(default="", sa_type=Text, description="The answer, JSON.")
    at: str = Field(sa_type=Text, index=True, description="When it was asked.")


class SignalRow(SQLModel, table=True):
    """A topic of the bus (`governance/bus`) and how often it changed."""

    __tablename__ = _named("signals")

    topic: str = Field(primary_key=True, sa_type=Text, description="Topic, for example `kills`.")
    version: int = Field(default=0, sa_type=BigInteger, description="Grows by one with every change.")
