"""The state that a held call gives its client to bring back, sealed so that only this installation can make or read it.

It is no proof that anything was approved: that is the ticket's. It says which ticket a retry is about, how often the
client was asked, and keeps what the held call itself carried for its server. It travels through the client, so it is
an attacker's until it was opened (2026-07-28, "Multi Round-Trip Requests").
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from governance import jsontree, seal
from governance.jsontree import Json, JsonObject

KEY = "mcp.request_state.1"
"""Purpose of the key that seals."""
TAG = "mcp.request_state_tag.1"
"""Purpose of the public name that tells our states from those of servers, other Wickets among them."""
_VERSION = 1


class UnsealedError(Exception):
    """A state that looks like ours and is not good: altered, too old, or for another request. Which, is not told."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a sealed state says."""

    bound: str
    """Digest of the caller and the call that it is good for."""
    ticket: str
    rounds: int
    """How often the client was asked to come back, this time included."""
    opened: bool
    """Whether it has answered what it was asked, so that it only waits."""
    kept: JsonObject = field(default_factory=dict[str, Json])
    """`requestState` and `inputResponses` of the held call itself, where it was a retry of the server's own."""


class Seal:
    """Seals and opens states.

    Args:
        key_for: makes the installation's key of 32 bytes for a purpose (`governance.audit.keys.derive`).
    """

    def __init__(self, key_for: Callable[[str], bytes]) -> None:
        tag = key_for(TAG)[:6].hex()
        self.name = f"wicket/approval/{tag}"
        """Key of our question among `inputRequests`, and of its answer. No server picks it by chance."""
        self._prefix = f"wicket.{tag}."
        self._seal = seal.Seal(key_for(KEY))

    def is_ours(self, token: str) -> bool:
        """Whether a state claims to be made here. Any other belongs to the server, and is passed on as it is."""
        return token.startswith(self._prefix)

    def close(self, claims: Claims, expires_at: float) -> str:
        """The sealed state.

        Args:
            claims: what it says.
            expires_at: seconds since 1970 from which it is not believed any more.
        """
        value: JsonObject = {
            "v": _VERSION,
            "exp": int(expires_at),
            "bound": claims.bound,
            "ticket": claims.ticket,
            "rounds": claims.rounds,
            "opened": claims.opened,
            "kept": claims.kept,
        }
        return self._prefix + self._seal.close(jsontree.dump(value))

    def open(self, token: str, bound: str, now: datetime) -> Claims:
        """What a state says.

        Raises:
            UnsealedError: it is not good for this call at this time.
        """
        try:
            payload = self._seal.open(token.removeprefix(self._prefix))
        except (seal.SealError, ValueError):
            raise UnsealedError from None
        value = jsontree.as_object(jsontree.parse(payload, max_depth=jsontree.MAX_DEPTH + 1))
        expires, rounds = value.get("exp"), value.get("rounds")
        if value.get("v") != _VERSION or value.get("bound") != bound:
            raise UnsealedError
        if not isinstance(expires, int) or not isinstance(rounds, int) or now.timestamp() >= expires:
            raise UnsealedError
        return Claims(
            bound,
            jsontree.as_text(value.get("ticket")),
            rounds,
            value.get("opened") is True,
            jsontree.as_object(value.get("kept")),
        )

    def close_task(self, bound: str, ticket: str, nonce: str) -> str:
        """The sealed id of a task.

        Args:
            bound: digest of whom it is for.
            ticket: what its call waits for.
            nonce: makes it another id than any before.
        """
        value: JsonObject = {"v": _VERSION, "task": nonce, "bound": bound, "ticket": ticket}
        return self._prefix + self._seal.close(jsontree.dump(value))

    def open_task(self, token: str, bound: str) -> str:
        """The ticket of a task's id. Whether there is such a task still, is not told here.

        Raises:
            UnsealedError: it is not the id of a task of this caller.
        """
        try:
            payload = self._seal.open(token.removeprefix(self._prefix))
        except (seal.SealError, ValueError):
            raise UnsealedError from None
        value = jsontree.as_object(jsontree.parse(payload, max_depth=jsontree.MAX_DEPTH + 1))
        if value.get("v") != _VERSION or not value.get("task") or value.get("bound") != bound:
            raise UnsealedError
        return jsontree.as_text(value.get("ticket"))
