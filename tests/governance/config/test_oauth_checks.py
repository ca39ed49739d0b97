"""Mistakes in the settings of OAuth, told by line and key before anything is served."""

from pathlib import Path

import pytest
import yaml

from governance.config.load import ConfigError, load


def told(folder: Path, oauth: dict[str, object]) -> str:
    (folder / "wicket.yaml").write_text(yaml.safe_dump({"identity": {"oauth": oauth}}))
    with pytest.raises(ConfigError) as caught:
        load(folder / "wicket.yaml", {})
    return str(caught.value)


MISTAKES: list[tuple[dict[str, object], str]] = [
    ({"resource": "https://w.example"}, "`identity.oauth.issuers` names nobody"),
    ({"resource": "", "issuers": [{"issuer": "https://i"}]}, "`identity.oauth.resource` must be an `http://` or"),
    ({"resource": "http://w.example", "issuers": [{"issuer": "https://i"}]}, "must be an `https://` address"),
    ({"resource": "https://w/mcp", "issuers": [{"issuer": "https://i"}]}, "must have no path"),
    ({"resource": "https://w/", "issuers": [{"issuer": "https://i"}]}, "must have no path"),
    ({"issuers": [{"issuer": "http://i.example"}]}, "`identity.oauth.issuers[0].issuer` must be an `https://`"),
    (
        {"issuers": [{"issuer": "https://i"}, {"issuer": "https://i"}]},
        "`identity.oauth.issuers[1].issuer` is there",
    ),
    (
        {"issuers": [{"issuer": "https://i", "jwks_url": "http://j.example"}]},
        "`identity.oauth.issuers[0].jwks_url`",
    ),
    ({"issuers": [{"issuer": "https://i", "algorithms": []}]}, "`identity.oauth.issuers[0].algorithms` must not"),
    ({"issuers": [{"issuer": "https://i", "algorithms": ["HS256"]}]}, "must be one of `RS256`"),
    ({"issuers": [{"issuer": "https://i", "algorithms": ["none"]}]}, "must be one of `RS256`"),
    ({"issuers": [{"issuer": "https://i"}], "scopes": ["a b"]}, "`identity.oauth.scopes[0]` is not one scope"),
    ({"issuers": [{"issuer": "https://i"}], "scopes": ['"']}, "`identity.oauth.scopes[0]` is not one scope"),
    ({"issuers": [{"issuer": "https://i"}], "audiences": [" "]}, "`identity.oauth.audiences[0]` must not be empty"),
]


@pytest.mark.parametrize(("oauth", "said"), MISTAKES)
def test_a_mistake_is_told_by_key(tmp_path: Path, oauth: dict[str, object], said: str):
    assert said in told(tmp_path, {"resource": "https://w.example", **oauth})


def test_a_machine_may_try_it_out_without_https(tmp_path: Path):
    oauth = {"resource": "http://127.0.0.1:8070", "issuers": [{"issuer": "http://localhost:9000/realms/a"}]}
    (tmp_path / "wicket.yaml").write_text(yaml.safe_dump({"identity": {"oauth": oauth}}))
    assert load(tmp_path / "wicket.yaml", {}).identity.oauth.resource == "http://127.0.0.1:8070"
