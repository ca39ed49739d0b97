"""One sign-in by an identity provider under way: the values that tie its answer to the browser that asked.

Pure, but for the random secret. What is asked with them is `relying_party.py`.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in under way. All its values grow from one random secret, which only the browser that began it holds."""

    secret: bytes = field(repr=False)

    @classmethod
    def begin(cls) -> "Flow":
        """A new one."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    @property
    def state(self) -> str:
        """Comes back with the answer: it must be to this browser's question."""
        return self._grown("state")

    @property
    def nonce(self) -> str:
        """Stands in the ID token: it must have been made for this question."""
        return self._grown("nonce")

    @property
    def verifier(self) -> str:
        """Shows that whoever has the code is the one who asked (RFC 7636 section 4.1)."""
        return self._grown("verifier")

    def _grown(self, purpose: str) -> str:
        return urlsafe_b64encode(hmac.digest(self.secret, purpose.encode(), hashlib.sha256)).decode().rstrip("=")
