"""How bytes are sealed so that only this installation can read or make them: AES-256-GCM, bound to whose they are.

Pure, but for the random nonce. What is sealed, and by the key of which purpose, is the business of whoever seals.
"""

import binascii
import secrets
from base64 import b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORM = "v1."
_NONCE_BYTES = 12
"""NIST SP 800-38D section 8.2.2: random nonces of 96 bits are good for 2^32 messages under one key."""


class SealError(Exception):
    """Something sealed that cannot be opened. The message is ours."""


class Seal:
    """Seals and opens bytes.

    Args:
        key: 32 bytes, for one purpose only (`governance.audit.keys.derive`).
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a seal needs a key of 32 bytes")
        self._cipher = AESGCM(key)

    def close(self, secret: bytes, whose: str = "") -> str:
        """`secret` as text, safe in URLs, that only `open` with the same `whose` can read."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORM + urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, secret, whose.encode())).decode()

    def open(self, sealed: str, whose: str = "") -> bytes:
        """What was sealed for `whose`. Only the very text that `close` gave opens.

        Raises:
            SealError: by another key, for somebody else, or changed since.
        """
        try:
            raw = b64decode(sealed.removeprefix(_FORM), altchars=b"-_", validate=True)
            if _FORM + urlsafe_b64encode(raw).decode() != sealed:
                raise SealError("it is not in the form that it was sealed in")
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], whose.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise SealError("it was sealed with another key, or changed since") from None
