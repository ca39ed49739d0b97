"""The tables of what people allow beyond one call, and of who decides for whom.

`tables.py` says how tables are made and what their texts mean.
"""

from typing import Any

from sqlalchemy import Boolean, Text
from sqlmodel import Field, SQLModel


def _named(table: str) -> Any:
    """The name of a table. SQLModel declares `__tablename__` as a descriptor, which a plain text is not."""
    return table


class ApprovalGrantRow(SQLModel, table=True):
    """Leave for further calls, given with the approval of one (`approvals/grants`)."""

    __tablename__ = _named("approval_grants")

    id: str = Field(primary_key=True, sa_type=Text, description="Id, made of that of the ticket.")
    ticket_id: str = Field(sa_type=Text, description="Ticket that was approved with it.")
    given_at: str = Field(sa_type=Text, description="When it began.")
    given_by: str = Field(sa_type=Text, description="Everybody who approved.")
    reason: str = Field(default="", sa_type=Text, description="What they said.")
    rules: str = Field(sa_type=Text, description="JSON: id and digest of each rule that asked.")
    server: str = Field(sa_type=Text, description="MCP server.")
    tool: str = Field(sa_type=Text, description="Tool.")
    definition: str = Field(sa_type=Text, description="Digest of the tool's definition.")
    key_id: str = Field(sa_type=Text, description="Gateway key of the caller; like all below the call's own.")
    tenant: str = Field(default="", sa_type=Text, description="Tenant.")
    team: str = Field(default="", sa_type=Text, description="Team.")
    agent: str = Field(default="", sa_type=Text, description="Agent.")
    user: str = Field(default="", sa_type=Text, description="Person.")
    session_id: str = Field(default="", sa_type=Text, description="Session that asked.")
    session_only: bool = Field(sa_type=Boolean, description="Whether it is for that session alone.")
    arguments: str = Field(sa_type=Text, description="JSON: what must stand at each place of the arguments.")
    expires_at: str = Field(sa_type=Text, description="From when on it is good for nothing.")
    uses: int = Field(description="For how many further calls.")
    used: int = Field(default=0, description="How many it let through.")
    last_used_at: str | None = Field(default=None, sa_type=Text, description="When the last of them came.")
    ended_at: str | None = Field(default=None, sa_type=Text, description="When it was ended before its time.")
    ended_by: str = Field(default="", sa_type=Text, description="Who ended it.")
    end_reason: str = Field(default="", sa_type=Text, description="Why.")


class DelegationRow(SQLModel, table=True):
    """One approver lets another decide in their place (`approvals/delegation`)."""

    __tablename__ = _named("delegations")

    id: str = Field(primary_key=True, sa_type=Text, description="Random id.")
    key_id: str = Field(sa_type=Text, description="Key of who is decided for.")
    name: str = Field(sa_type=Text, description="How they sign.")
    person: str = Field(sa_type=Text, description="Who counts once, whatever the number of keys.")
    user: str = Field(default="", sa_type=Text, description="The person by name, where known.")
    role: str = Field(default="", sa_type=Text, description="Role of the key when it was delegated.")
    team: str = Field(default="", sa_type=Text, description="Team of the key then.")
    tenant: str = Field(default="", sa_type=Text, description="Whose tickets; empty = all.")
    to_user: str = Field(sa_type=Text, index=True, description="Person who decides for them, by name in small letters.")
    reason: str = Field(default="", sa_type=Text, description="Why.")
    given_at: str = Field(sa_type=Text, description="When.")
    until: str = Field(sa_type=Text, description="From when on it is good for nothing.")
    ended_at: str | None = Field(default=None, sa_type=Text, description="When it was ended before its time.")
    ended_by: str = Field(default="", sa_type=Text, description="Who ended it.")
