"""Each kind of secret is found, and what documentation uses in its place is not."""

import pytest

from governance.detect import tokens
from governance.detect.detector import Detector
from tests.governance.detect.samples import KEY_BLOCK, SECRETS, drawn, github_token


@pytest.mark.parametrize(("kind", "text"), SECRETS.items())
def test_every_sample_is_found(detector: Detector, kind: str, text: str) -> None:
    for around in ("{}", "use {} now", '{{"key": "{}"}}', "KEY={}\n"):
        assert kind in {hit.rule.kind for hit in detector.hits(around.format(text))}, around


DECOYS = {
    "secret.jwt": [
        "eyJabcdefghi.",
        "eyJabcdefghi.abcdefghij.",
        "eyJ-",
        "eyJabcdefghi-",
        "eyJhbGciOiJub25lIn0.abcdefgh.",
    ],
    "secret.gitlab_token": ["glpat-EXAMPLEEXAMPLEEXAMPLE-"],
    "secret.pypi_token": ["pypi-AgEIcHlwaS5vcmc" + "EXAMPLE" * 9 + "-"],
    "secret.vault_token": ["hvs.EXAMPLEEXAMPLEEXAMPLEEXAMPLE-"],
    "secret.google_api_key": ["AIzaEXAMPLE-"],
    "secret.anthropic_key": ["sk-ant-api03-" + "EXAMPLE" * 2 + "-"],
    "secret.private_key": ["-----BEGIN PRIVATE KEY-", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n"],
}


@pytest.mark.parametrize(("kind", "decoy"), [(kind, decoy) for kind, decoys in DECOYS.items() for decoy in decoys])
def test_a_decoy_before_a_secret_hides_no_part_of_it(
    detector: Detector, slow_detector: Detector, kind: str, decoy: str
) -> None:
    text = decoy + SECRETS[kind]
    hits = [hit for hit in detector.hits(text) if hit.rule.kind == kind]
    covered = {place for hit in hits for place in range(hit.start, hit.end)}
    assert set(range(len(decoy), len(text))) <= covered
    assert [hit.start for hit in slow_detector.hits(text)] == [hit.start for hit in detector.hits(text)]


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
