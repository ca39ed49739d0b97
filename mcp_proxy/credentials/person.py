"""Somebody with a browser, as a sign-in needs one. The one who is really there is the command floor's business."""

from dataclasses import dataclass, field
from typing import Protocol

from mcp_proxy.credentials.credential import SignInError


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back with the browser of a person who signed in (RFC 6749 section 4.1.2)."""

    code: str = field(repr=False)
    state: str = field(repr=False)
    iss: str | None
    """Who answers (RFC 9207); `None` where it does not say."""


class Person(Protocol):
    """Somebody with a browser."""

    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back."""
        ...

    async def visit(self, url: str) -> None:
        """Show the address at which to sign in."""
        ...

    async def answer(self) -> Answer:
        """Wait for the browser to come back.

        Raises:
            CredentialError: it came back with a refusal.
        """
        ...


class Nobody:
    """Stands where there is no person: whatever needs one fails."""

    redirect_uri = "http://127.0.0.1/callback"

    async def visit(self, url: str) -> None:
        """Refuse.

        Raises:
            SignInError: always.
        """
        raise SignInError("a person must sign in")

    async def answer(self) -> Answer:
        """Refuse.

        Raises:
            SignInError: always.
        """
        raise SignInError("a person must sign in")
