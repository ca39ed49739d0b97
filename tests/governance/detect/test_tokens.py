"""Each kind of secret is found, and what documentation uses in its place is not."""

import pytest

from governance.detect import tokens
from governance.detect.detector import Detector
from tests.governance.detect.samples import KEY_BLOCK, SECRETS, drawn, github_token


@pytest.mark.parametrize(("kind", "text"), SECRETS.items())
def test_every_sample_is_found(detector: Detector, kind: str, text: str) -> None:
    for around in ("{}", "use {} now", '{{"key": "{}"}}', "KEY={}\n"):
        assert kind in {hit.rule.kind for hit in detector.hits(around.format(text))}, around


@pytest.mark.parametrize("prefix", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"])
def test_a_github_token_carries_its_checksum(prefix: str) -> None:
    token = github_token(prefix)
    assert tokens.github_checksum(token)
    for place in range(4, 40):
        other = "a" if token[place] != "a" else "b"
        assert not tokens.github_checksum(token[:place] + other + token[place + 1 :])


def test_a_jwt_says_its_algorithm() -> None:
    assert tokens.jwt(SECRETS["secret.jwt"])
    assert not tokens.jwt("eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiIxIn0.x"), "an object without `alg`"
    assert not tokens.jwt("eyJhbGciOiJIUzI1NiJ.e30.x"), "not JSON"


@pytest.mark.parametrize(
    "value", ["AKIAIOSFODNN7EXAMPLE", "a" * 36, "abcdefghijklmnopqrstuvwxyz0123456789", "your_key_here", "xxxxxxxxxxxx"]
)
def test_a_value_of_documentation_is_no_secret(value: str) -> None:
    assert tokens.is_example(value)
    assert not tokens.is_example(drawn(36))


def test_the_whole_key_block_is_found_with_and_without_its_end(detector: Detector) -> None:
    for block in (KEY_BLOCK, KEY_BLOCK.partition("-----END")[0].rstrip()):
        (hit,) = detector.hits(f'"{block}" "after"')
        assert (hit.start, hit.end) == (1, 1 + len(block))


@pytest.mark.parametrize("password", ["password", "$PASSWORD", "${X}", "***", "changeme", "your-password"])
def test_a_placeholder_is_no_password(detector: Detector, password: str) -> None:
    assert not detector.hits(f"redis://app:{password}@cache:6379/0")


def test_only_the_user_and_password_of_an_address_are_found(detector: Detector) -> None:
    text = SECRETS["secret.url_password"]
    (hit,) = [hit for hit in detector.hits(text) if hit.rule.kind == "secret.url_password"]
    assert text[hit.start : hit.end] == "app:" + drawn(12)
