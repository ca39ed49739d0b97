"""Settings of the channels by which people are told of calls that wait. What they lead to is `approvals/channels/`."""

from typing import Literal

from pydantic import Field

from governance.config.section import Section


class Channel(Section):
    """A place where people hear of calls that wait: a chat, or mailboxes."""

    type: Literal["slack", "teams", "email"] = Field(description="What is spoken there.")
    events: tuple[str, ...] = Field(default=("approval.*",), description="Globs of event types to send.")
    arguments: bool = Field(
        default=True,
        description="Show the arguments of the call, as they stand after redaction; off where not everybody who reads "
        "there may see them.",
    )
    allow_private: tuple[str, ...] = Field(default=(), description="Host names that may resolve to private addresses.")
    url: str = Field(
        default="",
        repr=False,
        description="Of `slack` and `teams`: the address of the incoming webhook, `${ENV}` or `file:PATH`, because "
        "whoever knows it can write there.",
    )
    host: str = Field(default="", description="Of `email`: the SMTP server.")
    port: int = Field(default=587, ge=1, le=65535, description="Of `email`.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="Of `email`; `none` only to this very machine."
    )
    user: str = Field(default="", description="Of `email`: name to sign in with; none = nobody signs in.")
    password: str = Field(default="", repr=False, description="Of `email`: `${ENV}` or `file:PATH`.")
    sender: str = Field(default="", description="Of `email`: the address that messages come from.")
    recipients: tuple[str, ...] = Field(default=(), description="Of `email`: the addresses that they go to.")
