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


SECRET = {"client_id": "w", "client_secret": "${S}", "issuer": "https://i"}
WRONG_SIGN_INS: list[tuple[dict[str, object], str]] = [
    ({"scopes": ["a"]}, "`mcpServers.a.auth.grant` is missing"),
    ({"grant": "password"}, "must be one of `authorization_code`"),
    ({"grant": "client_credentials"}, "`mcpServers.a.auth.client_secret` is missing"),
    ({"grant": "client_credentials", **SECRET, "client_id": ""}, "`mcpServers.a.auth.client_id` is missing"),
    ({"grant": "client_credentials", **SECRET, "issuer": ""}, "`mcpServers.a.auth.issuer` is missing"),
    ({"grant": "client_credentials", **SECRET, "client_secret": "plain"}, "must not hold the secret itself"),
    ({"grant": "authorization_code", "client_id": "w", "client_secret": "${S}"}, "`mcpServers.a.auth.issuer` is miss"),
    ({"grant": "authorization_code", "issuer": "http://i.example"}, "`mcpServers.a.auth.issuer` must be an `https"),
    ({"grant": "authorization_code", "client_metadata_url": "https://h/"}, "`mcpServers.a.auth.client_metadata_url`"),
    ({"grant": "authorization_code", "scopes": ["a b"]}, "`mcpServers.a.auth.scopes[0]` is not one scope"),
    ({"grant": "token_exchange", **SECRET}, "`mcpServers.a.auth.grant` needs callers with access tokens"),
]


def told_of(folder: Path, entry: dict[str, object]) -> str:
    (folder / "wicket.yaml").write_text(yaml.safe_dump({"mcpServers": {"a": entry}}))
    with pytest.raises(ConfigError) as caught:
        load(folder / "wicket.yaml", {"S": "secret-canary"})
    assert "canary" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("auth", "said"), WRONG_SIGN_INS)
def test_a_sign_in_that_cannot_work_is_told_by_key(tmp_path: Path, auth: dict[str, object], said: str):
    assert said in told_of(tmp_path, {"url": "https://h/mcp", "auth": auth})


def test_a_sign_in_goes_with_a_safe_address_and_no_other_credential(tmp_path: Path):
    auth = {"grant": "authorization_code"}
    assert "is for servers with a `url`" in told_of(tmp_path, {"command": "x", "auth": auth})
    assert "`mcpServers.a.url` must be an `https://`" in told_of(tmp_path, {"url": "http://h.example/m", "auth": auth})
    entry: dict[str, object] = {"url": "https://h/mcp", "headers": {"Authorization": "x"}, "auth": auth}
    assert "cannot stand beside a header `Authorization`" in told_of(tmp_path, entry)
