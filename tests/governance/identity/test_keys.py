"""Keys: random, hashed, and valid only while they are."""

import hashlib
from datetime import UTC, datetime, timedelta

from governance.identity.keys import Grant, KeyRole, digest, mint

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_minted_key_is_random_and_kept_only_as_a_digest():
    one, two = mint(Grant(), NOW), mint(Grant(), NOW)
    assert one.token.startswith("wk_")
    assert len(one.token) == 46
    assert one.token != two.token
    assert one.key.id != two.key.id
    assert one.key.digest == hashlib.sha256(one.token.encode()).hexdigest() == digest(one.token)
    assert one.token not in repr(one)


def test_a_key_expires_at_its_moment_and_not_before():
    key = mint(Grant(expires_at=NOW + timedelta(seconds=1)), NOW).key
    assert key.refusal(NOW) == ""
    assert key.refusal(NOW + timedelta(seconds=1)) == "this key has expired"


def test_a_key_is_for_agents_unless_it_says_otherwise():
    assert mint(Grant(), NOW).key.grant.role is KeyRole.AGENT


def test_a_token_that_is_not_text_has_a_digest_too():
    assert digest("\ud800") != digest("?")
