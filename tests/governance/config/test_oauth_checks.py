"""Mistakes in the settings of OAuth, told by line and key before anything is served."""

from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from governance.config.load import ConfigError, load


def told(folder: Path, oauth: dict[str, object]) -> str:
    (folder / "wicket.yaml").write_text(yaml.safe_dump({"identity": {"oauth": oauth}}))
    with pytest.raises(ConfigError) as caught:
        load(folder / "wicket.yaml", {"S": "secret-canary"})
    assert "canary" not in str(caught.value)
    return str(caught.value)


ASKING: dict[str, object] = {"client_id": "w", "client_secret": "${S}"}
ASKED: dict[str, object] = {"issuer": "https://i", "check": "introspection", "introspection": ASKING}
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
    ({"issuers": [ASKED, {**ASKED, "issuer": "https://j"}]}, "issuers[1].check` is a second issuer that is asked"),
    ({"issuers": [{**ASKED, "introspection": {}}]}, "issuers[0].introspection.client_id` is missing"),
    ({"issuers": [{**ASKED, "introspection": {"client_id": "w"}}]}, "introspection.client_secret` is missing"),
    (
        {"issuers": [{**ASKED, "introspection": {**ASKING, "client_secret": "plain"}}]},
        "must not hold the secret itself",
    ),
    ({"issuers": [{**ASKED, "introspection": {**ASKING, "client_key": "${S}"}}]}, "client_auth` does not use"),
    (
        {"issuers": [{**ASKED, "introspection": {**ASKING, "endpoint": "http://i.example"}}]},
        "endpoint` must be an `https",
    ),
    ({"issuers": [{**ASKED, "check": "signature"}]}, "issuers[0].check` does not ask the issuer"),
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
SIGNS = {"client_id": "w", "client_auth": "private_key_jwt", "client_key": "${KEY}", "issuer": "https://i"}
KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
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
    ({"grant": "client_credentials", **SIGNS, "client_key": "plain"}, "must not hold the secret itself"),
    ({"grant": "client_credentials", **SIGNS, "client_key": ""}, "`mcpServers.a.auth.client_key` is missing"),
    ({"grant": "client_credentials", **SIGNS, "client_secret": "${S}"}, "client_secret` cannot stand beside"),
    ({"grant": "client_credentials", **SIGNS, "client_auth": "client_secret_post"}, "does not use `client_key`"),
    ({"grant": "client_credentials", **SIGNS, "client_key": "${S}"}, "client_key` is no private key in PEM"),
    ({"grant": "authorization_code", **SIGNS, "issuer": ""}, "`mcpServers.a.auth.issuer` is missing"),
    ({"grant": "authorization_code", **SIGNS, "client_id": ""}, "`mcpServers.a.auth.client_id` is missing"),
    ({"grant": "token_exchange", **SECRET}, "`mcpServers.a.auth.grant` needs callers with access tokens"),
]


def told_of(folder: Path, entry: dict[str, object]) -> str:
    (folder / "wicket.yaml").write_text(yaml.safe_dump({"mcpServers": {"a": entry}}))
    with pytest.raises(ConfigError) as caught:
        load(folder / "wicket.yaml", {"S": "secret-canary", "KEY": KEY})
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


def test_a_key_is_read_from_its_file(tmp_path: Path):
    (tmp_path / "client.pem").write_text(KEY)
    auth = {"grant": "client_credentials", **SIGNS, "client_key": "file:client.pem"}
    (tmp_path / "wicket.yaml").write_text(yaml.safe_dump({"mcpServers": {"a": {"url": "https://h/mcp", "auth": auth}}}))
    found = load(tmp_path / "wicket.yaml", {}).mcp_servers["a"].auth
    assert found.client_key == KEY.strip()
    assert "PRIVATE" not in repr(found)
