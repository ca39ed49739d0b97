"""A token for each caller: exchanged, never forwarded, never shared."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from governance.exchange import Principal
from governance.identity.refusals import IdentityStaleError, UnknownKeyError
from mcp_proxy.credentials.credential import CredentialError, SignInError
from mcp_proxy.credentials.exchange import ACCESS_TOKEN, GRANT_TYPE
from tests.conftest import ManualClock
from tests.mcp_proxy.credentials.stage import ANN, SECRET, SIGNING, signed_by, staged

EXCHANGE: Mapping[str, Any] = {
    "grant": "token_exchange",
    "client_id": "wicket",
    "client_secret": SECRET,
    "issuer": "ISSUER",
    "scopes": ["files:read"],
    "audience": "files",
}
BOB = Principal("oauth_bob")


class Callers:
    """The tokens of Ann and Bob."""

    def __init__(self) -> None:
        self.problem: Exception | None = None

    def subject_token(self, principal: Principal) -> str:
        if self.problem is not None:
            raise self.problem
        return f"token-of-{principal.key_id}"


async def test_each_caller_gets_a_token_in_exchange_and_none_is_forwarded(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, EXCHANGE, subjects=Callers()) as stage:
        assert await stage.ask(ANN)
        assert await stage.ask(BOB)
        assert await stage.ask(ANN)
        ann, bob = stage.authority.forms
        assert (ann["grant_type"], ann["subject_token_type"]) == (GRANT_TYPE, ACCESS_TOKEN)
        assert (ann["subject_token"], bob["subject_token"]) == ("token-of-oauth_ann", "token-of-oauth_bob")
        assert (ann["resource"], ann["audience"], ann["scope"]) == (stage.guarded.url, "files", "files:read")
        assert ann["auth"] == f"wicket:{SECRET}"
        assert stage.shown == [f"Bearer {stage.authority.issued[number]}" for number in (0, 1, 0)]
        assert "token-of" not in str(stage.shown)


async def test_a_token_for_one_server_is_not_served_by_what_a_wider_one_was_exchanged_for(
    tmp_path: Path, clock: ManualClock
):
    async with staged(tmp_path, clock, EXCHANGE, subjects=Callers()) as stage:
        assert await stage.ask(replace(ANN, servers=("*",)))
        assert await stage.ask(replace(ANN, servers=("files",)))
        assert len(set(stage.shown)) == 2


async def test_a_token_is_exchanged_again_before_it_ends_or_when_it_is_refused(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, EXCHANGE, subjects=Callers()) as stage:
        await stage.ask()
        clock.advance(3600 - 60)
        await stage.ask()
        assert len(stage.authority.issued) == 2
        stage.guarded.revoked.add(stage.authority.issued[-1])
        assert await stage.ask()
        assert len(stage.authority.issued) == 3


async def test_many_calls_of_one_caller_exchange_once(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, EXCHANGE, subjects=Callers()) as stage:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(stage.ask)
        assert len(stage.authority.forms) == 1


async def test_the_callers_own_token_never_goes_upstream_even_if_it_is_given_back(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, EXCHANGE, subjects=Callers()) as stage:
        stage.authority.mint = lambda form: form["subject_token"]
        with pytest.raises(CredentialError, match="gave the caller's own token back"):
            await stage.ask()
        assert stage.shown == []


@pytest.mark.parametrize("subjects", [None, Callers()])
async def test_a_caller_with_a_gateway_key_is_told_to_come_with_a_token(
    tmp_path: Path, clock: ManualClock, subjects: Callers | None
):
    if subjects is not None:
        subjects.problem = UnknownKeyError("no access token")
    async with staged(tmp_path, clock, EXCHANGE, subjects=subjects) as stage:
        with pytest.raises(CredentialError, match="not with a gateway key"):
            await stage.ask()
        assert stage.authority.forms == []
        assert stage.shown == []


async def test_what_goes_wrong_is_told_without_the_token(tmp_path: Path, clock: ManualClock):
    callers = Callers()
    async with staged(tmp_path, clock, EXCHANGE, subjects=callers) as stage:
        stage.authority.refusal = "invalid_request"
        with pytest.raises(CredentialError, match="does not exchange") as refused:
            await stage.ask()
        stage.authority.breaks = True
        with pytest.raises(SignInError, match="HTTP 503"):
            await stage.ask()
        callers.problem = IdentityStaleError("keys cannot be read")
        with pytest.raises(SignInError, match="keys cannot be read"):
            await stage.ask()
        assert "token-of" not in str(refused.value)


async def test_an_answer_that_is_no_bearer_token_is_not_used(tmp_path: Path, clock: ManualClock):
    for given in ({"issued_token_type": "urn:x"}, {"token_type": "DPoP"}, {"access_token": "a\r\nb"}):
        async with staged(tmp_path, clock, EXCHANGE, subjects=Callers()) as stage:
            stage.authority.answer = given
            with pytest.raises(CredentialError, match="did not answer with a bearer token"):
                await stage.ask()
            assert stage.shown == []


async def test_a_token_may_be_exchanged_by_a_client_with_a_key(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, {**SIGNING, "grant": "token_exchange"}, subjects=Callers()) as stage:
        assert await stage.ask()
        (form,) = stage.authority.forms
        assert signed_by(form, stage.authority.url) == form["client_id"] == "wicket"
        assert form["subject_token"] == "token-of-oauth_ann"


@pytest.mark.parametrize("endpoint", [None, "http://elsewhere.example/token", "https://x/\x01", "https://[x"])
async def test_a_token_goes_to_no_endpoint_that_is_none(tmp_path: Path, clock: ManualClock, endpoint: str | None):
    async with staged(tmp_path, clock, EXCHANGE, subjects=Callers()) as stage:
        stage.authority.metadata = {"token_endpoint": endpoint}
        with pytest.raises(SignInError, match="token endpoint"):
            await stage.ask()


async def test_scope_that_is_wanted_besides_is_told(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, EXCHANGE, subjects=Callers()) as stage:
        stage.guarded.wants = "files:write"
        with pytest.raises(CredentialError, match="wants the scope `files:write`"):
            await stage.ask()
