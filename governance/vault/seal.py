"""How a kept secret is sealed: AES-256-GCM by a key that grows from the master key, bound to whose secret it is.

Pure, but for the random nonce. Where sealed secrets are kept is `store.py`.
"""

import binascii
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from governance.audit.keys import derive

PURPOSE = "vault.aead.1"
"""Purpose of the key that kept secrets are sealed with."""
_FORM = "v1."
_NONCE_BYTES = 12
"""NIST SP 800-38D section 8.2.2: random nonces of 96 bits are good for 2^32 secrets under one key."""


class SealError(Exception):
    """A sealed secret that cannot be opened. The message is ours."""


class Seal:
    """Seals and opens secrets.

    Args:
        master: the 32 bytes of the master key.
    """

    def __init__(self, master: bytes) -> None:
        self._cipher = AESGCM(derive(master, PURPOSE))

    def close(self, secret: bytes, whose: str) -> str:
        """`secret` as text that only `open` with the same `whose` can read."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORM + urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, secret, whose.encode())).decode()

    def open(self, sealed: str, whose: str) -> bytes:
        """What was sealed for `whose`.

        Raises:
            SealError: by another master key, for somebody else, or changed since.
        """
        try:
            raw = urlsafe_b64decode(sealed.removeprefix(_FORM))
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], whose.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise SealError("a kept secret does not open with this master key: put the right key back") from None
