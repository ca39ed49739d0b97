"""Signing in: what must hold before a person is sent anywhere, and what is refused when the browser comes back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mcp_proxy.credentials.credential import CredentialError, Refusal, SignInError
from tests.conftest import ManualClock
from tests.mcp_proxy.credentials.stage import SECRET, SIGNING, Stage, signed_by, staged

PERSON: Mapping[str, Any] = {"grant": "authorization_code"}


async def refused(stage: Stage) -> str:
    """Why nobody can sign in. Holds that nothing is kept then."""
    with pytest.raises((CredentialError, SignInError)) as caught:
        await stage.sign_in()
    assert await stage.vault.load("up") is None
    return str(caught.value)


@pytest.mark.parametrize("methods", [None, ["plain"]])
async def test_nobody_is_sent_to_a_server_without_pkce(tmp_path: Path, clock: ManualClock, methods: Any):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.metadata = {"code_challenge_methods_supported": methods}
        assert "does not offer PKCE" in await refused(stage)
        assert stage.person.visited == []


@pytest.mark.parametrize("iss", ["", "https://evil.example"])
async def test_an_answer_of_another_issuer_is_refused(tmp_path: Path, clock: ManualClock, iss: str):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.iss = iss
        assert "does not follow the rules" in await refused(stage)
        assert stage.authority.forms == []


async def test_metadata_of_another_issuer_is_refused(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.metadata = {"issuer": "https://evil.example"}
        assert "does not follow the rules" in await refused(stage)
        assert stage.person.visited == []


@pytest.mark.parametrize(
    ("issuer", "said"),
    [
        ("http://login.example", "must be an `https://` address"),
        ("https://10.0.0.1", "inside your network"),
        ("https://169.254.169.254", "inside your network"),
    ],
)
async def test_a_server_cannot_make_wicket_call_the_inside(tmp_path: Path, clock: ManualClock, issuer: str, said: str):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.guarded.issuer = issuer
        assert said in await refused(stage)


async def test_an_address_that_is_no_web_address_is_not_shown(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.metadata = {"authorization_endpoint": "http://evil.example/authorize"}
        assert "must be an `https://` address" in await refused(stage)
        assert stage.person.visited == []


async def test_a_server_that_lets_everybody_in_at_first_is_signed_in_at_all_the_same(
    tmp_path: Path, clock: ManualClock
):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.guarded.is_open = True
        grant = await stage.sign_in()
        assert grant.scope == "files:read files:write"


async def test_a_server_that_asks_for_nobody_says_so(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.guarded.is_open, stage.guarded.has_metadata = True, False
        assert "does not ask anybody to sign in" in await refused(stage)


async def test_an_error_of_the_authorization_server_is_told_by_its_word(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.refusal = "invalid_client"
        assert "gave no token (it answered `invalid_client`)" in await refused(stage)


@pytest.mark.parametrize(
    "challenge",
    ['Bearer resource_metadata="https://[x"', 'Bearer resource_metadata="https://x/\x01"', 'Bearer scope="', ""],
)
async def test_a_server_that_names_no_address_is_told_about_in_our_words(
    tmp_path: Path, clock: ManualClock, challenge: str
):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.refusal = "invalid_client"
        with pytest.raises((CredentialError, SignInError), match="authorization server of `up`"):
            await stage.sign_in(Refusal(401, challenge))


@pytest.mark.parametrize("answer", [{"expires_in": 10**400}, {"access_token": "a\r\nb"}, {"access_token": "\u00e4"}])
async def test_a_token_that_cannot_be_used_is_told_about_in_our_words(
    tmp_path: Path, clock: ManualClock, answer: dict[str, Any]
):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.answer = answer
        assert "the authorization server of `up`" in await refused(stage)


async def test_an_error_that_is_no_text_is_told_about_in_our_words(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.garbles = True
        assert "(it answered HTTP 400)" in await refused(stage)


async def test_a_registered_client_is_used_and_its_secret_is_not_kept(tmp_path: Path, clock: ManualClock):
    auth = {**PERSON, "client_id": "mine", "client_secret": SECRET, "issuer": "ISSUER"}
    async with staged(tmp_path, clock, auth) as stage:
        grant = await stage.sign_in()
        assert stage.authority.registered == []
        assert stage.authority.authorized[0]["client_id"] == "mine"
        assert stage.authority.forms[0]["auth"] == f"mine:{SECRET}"
        assert SECRET.encode() not in grant.as_bytes()
        clock.advance(3600)
        assert await stage.ask()
        assert stage.authority.forms[1]["auth"] == f"mine:{SECRET}"


async def test_a_client_with_a_key_signs_for_the_code_and_for_each_renewal(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, {**PERSON, **SIGNING}) as stage:
        grant = await stage.sign_in()
        clock.advance(3600)
        assert await stage.ask()
        code, renewal = stage.authority.forms
        assert (code["grant_type"], renewal["grant_type"]) == ("authorization_code", "refresh_token")
        for form in (code, renewal):
            assert signed_by(form, stage.authority.url) == form["client_id"] == "wicket"
        assert code["client_assertion"] != renewal["client_assertion"]
        assert (stage.authority.registered, grant.client) == ([], {})
        assert "PRIVATE" not in str(grant.as_bytes()) + repr(stage.entry)


async def test_nothing_is_signed_for_an_issuer_that_only_the_server_names(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, {**PERSON, **SIGNING, "issuer": "http://localhost:9"}) as stage:
        assert "another authorization server" in await refused(stage)
        assert (stage.person.visited, stage.authority.forms) == ([], [])


async def test_a_secret_is_kept_from_an_issuer_that_only_the_server_names(tmp_path: Path, clock: ManualClock):
    auth = {**PERSON, "client_id": "mine", "client_secret": SECRET, "issuer": "http://localhost:9"}
    async with staged(tmp_path, clock, auth) as stage:
        assert "another authorization server" in await refused(stage)
        assert stage.person.visited == []


async def test_more_scope_is_asked_for_together_with_what_was_granted(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        old = await stage.sign_in()
        refusal = Refusal(403, 'Bearer error="insufficient_scope", scope="files:write"')
        await stage.sign_in(refusal, old)
        assert set(stage.authority.authorized[1]["scope"].split()) == {"files:read", "files:write"}
        assert len(stage.authority.registered) == 1


async def test_a_sign_in_for_another_address_is_not_used(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        grant = await stage.sign_in()
        moved = grant.as_bytes().replace(stage.guarded.url.encode(), b"https://other.example/mcp")
        await stage.vault.sign_in("up", moved, actor="ann")
        with pytest.raises(CredentialError, match="another address"):
            await stage.ask()
