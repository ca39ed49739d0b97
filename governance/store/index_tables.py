"""The tables of the index over the audit log: what lists, searches and plots look things up in (`sessions/index`).

Nothing in them is the truth: all of it is read out of `audit_events` and can be made anew from there. What holds for
every table is said in `tables.py`.
"""

from typing import Any

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel


def _named(table: str) -> Any:
    """The name of a table."""
    return table


class IndexPlaceRow(SQLModel, table=True):
    """How far the log has been read into the index. One row, with `id` 1."""

    __tablename__ = _named("index_place")

    id: int = Field(default=1, primary_key=True, sa_type=BigInteger, description="Always 1.")
    seq: int = Field(sa_type=BigInteger, description="Place of the last event that is in the index; -1 = none is.")


class FacetRow(SQLModel, table=True):
    """Something that events and sessions are found by: a tool, a key, a rule, and so on."""

    __tablename__ = _named("facets")

    id: int = Field(primary_key=True, sa_type=BigInteger, description="Number, in the order of first appearance.")
    kind: str = Field(sa_type=Text, description="What it is: `sessions.index.reading.Kind`.")
    name: str = Field(sa_type=Text, description="Its name, cut to 200 characters.")
    events: int = Field(default=0, sa_type=BigInteger, description="Events that carry it.")
    sessions: int = Field(default=0, sa_type=BigInteger, description="Sessions that carry it.")
    last_at: str = Field(default="", sa_type=Text, description="When it was last seen.")


class EventFacetRow(SQLModel, table=True):
    """That an event carries a facet."""

    __tablename__ = _named("event_facets")

    facet: int = Field(primary_key=True, sa_type=BigInteger, description="The facet.")
    seq: int = Field(primary_key=True, sa_type=BigInteger, description="Place of the event.")


class SessionFacetRow(SQLModel, table=True):
    """That a session carries a facet, and how often."""

    __tablename__ = _named("session_facets")

    facet: int = Field(primary_key=True, sa_type=BigInteger, description="The facet.")
    began: str = Field(primary_key=True, sa_type=Text, description="When the session began: never changes.")
    session_id: str = Field(primary_key=True, sa_type=Text, description="Internal id of the session.")
    count: int = Field(default=0, sa_type=BigInteger, description="How many events of the session carry it.")


class SessionTotalRow(SQLModel, table=True):
    """What a session has come to, summed over its events."""

    __tablename__ = _named("session_totals")

    session_id: str = Field(primary_key=True, sa_type=Text, description="Internal id of the session.")
    began: str = Field(sa_type=Text, description="When its first event was written.")
    last_at: str = Field(sa_type=Text, description="When its newest event was written.")
    events: int = Field(default=0, sa_type=BigInteger, description="Events.")
    model_calls: int = Field(default=0, sa_type=BigInteger, description="Model calls that were judged.")
    tool_calls: int = Field(default=0, sa_type=BigInteger, description="Tool calls that were judged.")
    calls: int = Field(default=0, sa_type=BigInteger, description="All exchanges that were judged.")
    input_tokens: int = Field(default=0, sa_type=BigInteger, description="Tokens sent to models.")
    output_tokens: int = Field(default=0, sa_type=BigInteger, description="Tokens that models made.")
    micro_usd: int = Field(default=0, sa_type=BigInteger, description="Cost, in millionths of a US dollar.")
    unpriced: int = Field(default=0, sa_type=BigInteger, description="Model calls whose price is not known.")
    findings: int = Field(default=0, sa_type=BigInteger, description="Kinds of findings, summed over exchanges.")
    approvals: int = Field(default=0, sa_type=BigInteger, description="Questions put to people.")
    allowed: int = Field(default=0, sa_type=BigInteger, description="Exchanges let through as they were.")
    warned: int = Field(default=0, sa_type=BigInteger, description="Exchanges let through with a warning.")
    redacted: int = Field(default=0, sa_type=BigInteger, description="Exchanges let through redacted.")
    held: int = Field(default=0, sa_type=BigInteger, description="Exchanges whose verdict was to ask a person.")
    denied: int = Field(default=0, sa_type=BigInteger, description="Exchanges denied.")
    killed: int = Field(default=0, sa_type=BigInteger, description="Exchanges refused because of a kill.")


class TallyRow(SQLModel, table=True):
    """How much of something there was in a minute, an hour or a day: what the plots are made of."""

    __tablename__ = _named("tallies")

    tenant: str = Field(primary_key=True, sa_type=Text, description="Tenant; empty = all of them together.")
    kind: str = Field(primary_key=True, sa_type=Text, description="What is counted: `sessions.index.reading.Count`.")
    span: str = Field(primary_key=True, sa_type=Text, description="`minute` (kept for days), `hour` or `day`.")
    at: str = Field(primary_key=True, sa_type=Text, description="Start of the span: `2026-11-21T12:00`, UTC.")
    name: str = Field(primary_key=True, sa_type=Text, description="Of what: a decision, a model, a tool.")
    count: int = Field(default=0, sa_type=BigInteger, description="How many.")
    tokens: int = Field(default=0, sa_type=BigInteger, description="Tokens of it, in and out.")
    micro_usd: int = Field(default=0, sa_type=BigInteger, description="Its cost, in millionths of a US dollar.")
    flawed: int = Field(default=0, sa_type=BigInteger, description="How many of them failed, or had no price.")
