"""The tables of what the policy was, what it was asked, and how often its rules spoke.

As `tables.py`, which holds all others: made by the numbered migrations, and a test holds the two equal.
"""

from typing import Any

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel


def _named(table: str) -> Any:
    """The name of a table, as in `tables.py`."""
    return table


class PolicyVersionRow(SQLModel, table=True):
    """A policy that was in force once (`governance/history`), whole."""

    __tablename__ = _named("policy_versions")

    version: str = Field(primary_key=True, sa_type=Text, description="Digest of what it means, as events name it.")
    files: str = Field(sa_type=Text, description="JSON array of `[name, text]`: its files as they were loaded last.")
    rules: int = Field(default=0, description="How many rules it has.")
    loads: int = Field(default=0, sa_type=BigInteger, description="How often a process took it up.")
    first_at: str = Field(sa_type=Text, description="When it was first in force.")
    first_by: str = Field(default="", sa_type=Text, description="Process that took it up first.")
    last_at: str = Field(sa_type=Text, index=True, description="When a process took it up last.")
    last_by: str = Field(default="", sa_type=Text, description="That process.")
    reason: str = Field(default="", sa_type=Text, description="Why a person brought it back last.")
    actor: str = Field(default="", sa_type=Text, description="Who did.")
    rolled_back_at: str | None = Field(default=None, sa_type=Text, description="When they did.")


class JudgementRow(SQLModel, table=True):
    """What the policy was asked about one half of an exchange (`governance/history`). Kept for a bounded time."""

    __tablename__ = _named("judgements")

    exchange_id: str = Field(primary_key=True, sa_type=Text, description="Exchange.")
    phase: str = Field(primary_key=True, sa_type=Text, description="`request` or `response`.")
    at: str = Field(sa_type=Text, index=True, description="When it was judged.")
    version: str = Field(default="", sa_type=Text, description="Version of the policy that judged.")
    decision: str = Field(sa_type=Text, description="What that policy decided.")
    rule: str = Field(default="", sa_type=Text, description="By which rule; empty = none spoke.")
    scene: str = Field(sa_type=Text, description="JSON: what the rules saw, masked (`governance/history/scene.py`).")


class RuleCountRow(SQLModel, table=True):
    """How often a rule spoke in an hour (`governance/history`). Kept for a bounded time."""

    __tablename__ = _named("rule_counts")

    hour: str = Field(primary_key=True, sa_type=Text, description="`2026-11-21T12`, UTC.")
    tenant: str = Field(primary_key=True, sa_type=Text, description="Tenant of the key.")
    rule: str = Field(primary_key=True, sa_type=Text, description="Id of the rule.")
    part: str = Field(primary_key=True, sa_type=Text, description="`fitted`, `decided` or `shadow`.")
    decision: str = Field(primary_key=True, sa_type=Text, description="What it said.")
    count: int = Field(default=0, sa_type=BigInteger, description="How often.")
    examples: str = Field(default="[]", sa_type=Text, description="JSON array: ids of the newest exchanges.")
