"""Keys are grown from one master key, each for its purpose."""

import hashlib
import hmac

import pytest

from governance.audit import keys


def test_a_key_is_hkdf_sha256_of_the_master_key_and_the_purpose() -> None:
    master = bytes(range(32))
    extracted = hmac.digest(bytes(32), master, hashlib.sha256)

    assert keys.derive(master, "audit.mac.1") == hmac.digest(extracted, b"wicket:audit.mac.1\x01", hashlib.sha256)


def test_two_purposes_have_two_keys() -> None:
    assert keys.derive(bytes(32), "audit.mac.1") != keys.derive(bytes(32), "audit.mac.2")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"the master key has {length} bytes instead of 32"):
        keys.derive(bytes(length), keys.AUDIT_MAC)
