"""Keys for single purposes, all grown from one master key.

Where the master key comes from is `governance/config`; nothing here reads a file.
"""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

AUDIT_MAC = "audit.mac.1"
"""Purpose of the key that authenticates the audit chain."""

_LENGTH = 32


def derive(master: bytes, purpose: str) -> bytes:
    """The 32-byte key for a purpose: HKDF-SHA-256 (RFC 5869) without salt, the purpose as `info`.

    A purpose is a dotted name with a number at its end, so that the key can be replaced by the next one.

    Raises:
        ValueError: the master key is not 32 bytes.
    """
    if len(master) != _LENGTH:
        raise ValueError(f"the master key has {len(master)} bytes instead of {_LENGTH}")
    return HKDF(SHA256(), _LENGTH, None, f"wicket:{purpose}".encode()).derive(master)
