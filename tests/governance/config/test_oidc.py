"""What is wrong with how people sign in is told with file, key and mend, before anything is served."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from governance.config.document import ConfigError
from governance.config.load import load

GOOD: dict[str, Any] = {
    "issuer": "https://idp.example",
    "client_id": "wicket",
    "client_secret": "${WICKET_TEST_SECRET}",
    "people": [{"match": {"groups": "boss"}, "role": "admin"}],
}


def told(folder: Path, base_url: str = "https://wicket.example", **oidc: Any) -> str:
    """What is said of a configuration."""
    kept = {name: value for name, value in {**GOOD, **oidc}.items() if value is not None}
    whole = {"approvals": {"base_url": base_url}, "console": {"oidc": kept}}
    (folder / "wicket.yaml").write_text(yaml.safe_dump(whole))
    try:
        load(folder / "wicket.yaml")
    except ConfigError as error:
        return str(error)
    return ""


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WICKET_TEST_SECRET", "canary-secret")


def test_a_whole_one_is_taken(tmp_path: Path) -> None:
    assert told(tmp_path) == ""
    assert told(tmp_path, client_secret=None, client_auth="none") == ""
    assert told(tmp_path, claims={"tenant": "org"}, people=[{"match": {"sub": "*"}, "role": "viewer"}]) == ""


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"issuer": None}, "`console.oidc.issuer` is missing"),
    ({"issuer": "http://idp.example"}, "`console.oidc.issuer` must be an `https://`"),
    ({"base_url": ""}, "`approvals.base_url` is missing"),
    ({"base_url": "http://wicket.example"}, "`approvals.base_url` must be an `https://`"),
    ({"client_id": None}, "`console.oidc.client_id` is missing"),
    ({"client_secret": None}, "`console.oidc.client_secret` is missing"),
    ({"client_secret": "literal"}, "`console.oidc.client_secret` must not hold the secret itself"),
    ({"client_auth": "none"}, "`console.oidc.client_auth` shows neither"),
    ({"scopes": ["email"]}, "`console.oidc.scopes` must hold `openid`"),
    ({"people": []}, "`console.oidc.people` lets nobody in"),
    ({"people": [{"match": {}, "role": "admin"}]}, "console.oidc.people"),
    ({"people": [{"match": {"sub": []}, "role": "admin"}]}, "console.oidc.people"),
    ({"people": [{"match": {"sub": "x"}, "role": "agent"}]}, "console.oidc.people"),
    ({"people": [{"match": {"sub": "x"}, "role": "viewer"}]}, "`console.oidc.people[0].tenant` is missing"),
    ({"algorithms": ["none"]}, "console.oidc.algorithms"),
    ({"algorithms": ["HS256"]}, "console.oidc.algorithms"),
]


@pytest.mark.parametrize(("oidc", "expected"), BROKEN)
def test_a_broken_one_is_refused_by_name(tmp_path: Path, oidc: dict[str, Any], expected: str) -> None:
    said = told(tmp_path, **oidc)
    assert expected in said
    assert "canary-secret" not in said
