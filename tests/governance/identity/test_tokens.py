"""Access tokens: which are believed, whom they stand for, and every forgery that is refused."""

import base64
import hashlib
import hmac
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import pytest
from cryptography.hazmat.primitives import serialization

from governance.config.authorization import OAuth
from governance.exchange import Principal
from governance.identity import tokens
from governance.identity.keyring import Keyring
from governance.identity.refusals import (
    InsufficientScopeError,
    TokenError,
    UnknownKeyError,
)
from governance.identity.tokens import Tokens, open_tokens
from tests.authority import Authority, forged, new_key, part
from tests.conftest import ManualClock
from tests.mcp_proxy.harness import serving

RESOURCE = "https://wicket.example"


class Door(NamedTuple):
    """A resource server and the authorization server that it believes."""

    tokens: Tokens
    authority: Authority
    clock: ManualClock

    def token(self, key: Any = None, /, **claims: Any) -> str:
        return self.authority.token(self.clock.now(), key, **({"aud": RESOURCE} | claims))


@asynccontextmanager
async def opened(
    clock: ManualClock, authority: Authority | None = None, *, issuer: dict[str, Any] | None = None,
    keep: bool = False, **settings: Any,
) -> AsyncGenerator[Door]:  # fmt: skip
    authority = authority or Authority()
    with anyio.fail_after(20):
        async with serving(authority.app()) as url:
            authority.url = authority.url or url
            said = {"resource": RESOURCE, "issuers": [{"issuer": url, **(issuer or {})}], **settings}
            async with open_tokens(OAuth.model_validate(said), clock, keep=keep) as found:
                assert found is not None
                yield Door(found, authority, clock)


async def test_a_token_stands_for_its_subject_and_client(clock: ManualClock):
    async with opened(clock) as door:
        principal = await door.tokens.recognise(door.token())
        again = await door.tokens.recognise(door.token(jti="other"))
        other = await door.tokens.recognise(door.token(client_id="agent-8"))
    assert principal.key_id.startswith("oauth_")
    assert principal.key_id == again.key_id != other.key_id
    assert (principal.tenant, principal.agent, principal.user) == ("default", "agent-7", "ann")
    assert set(principal.provenance.values()) == {"verified"}


async def test_claims_are_mapped_and_a_token_without_a_mapped_claim_is_refused(clock: ManualClock):
    claims = {"tenant": "https://example.com/org", "team": "group", "agent": "azp", "user": "email"}
    async with opened(clock, issuer={"claims": claims}) as door:
        said = {"https://example.com/org": "acme", "group": "red", "azp": "bot", "email": "ann@example.com"}
        found = await door.tokens.recognise(door.token(**said))
        assert (found.tenant, found.team, found.agent, found.user) == ("acme", "red", "bot", "ann@example.com")
        for missing in said:
            with pytest.raises(TokenError):
                await door.tokens.recognise(door.token(**{**said, missing: None}))
        with pytest.raises(TokenError, match="not a short text"):
            await door.tokens.recognise(door.token(**{**said, "group": ["red"]}))


@pytest.mark.parametrize("audience", [RESOURCE, f"{RESOURCE}/", ["x", RESOURCE], "api://wicket"])
async def test_a_token_for_the_whole_resource_is_good_for_everything(clock: ManualClock, audience: Any):
    async with opened(clock, audiences=["api://wicket"]) as door:
        found = await door.tokens.recognise(door.token(aud=audience))
    assert (found.models, found.servers) == (("*",), ("*",))


async def test_a_token_for_the_endpoint_of_all_servers_is_good_for_every_server_and_no_model(clock: ManualClock):
    async with opened(clock, keep=True) as door:
        little, much = door.token(aud=f"{RESOURCE}/mcp"), door.token(exp=int(clock.now().timestamp()) + 900)
        found, wide = await door.tokens.recognise(little), await door.tokens.recognise(much)
        assert (found.models, found.servers) == ((), ("*",))
        assert door.tokens.subject_token(found) == little
        assert door.tokens.subject_token(wide) == much


async def test_a_token_for_one_server_is_good_for_that_server_only(clock: ManualClock):
    async with opened(clock) as door:
        found = await door.tokens.recognise(door.token(aud=[f"{RESOURCE}/mcp/files", f"{RESOURCE}/mcp/*"]))
        grant = door.tokens.grant(found)
    assert (found.models, found.servers) == ((), ("files",))
    assert (grant.models, grant.servers) == ((), ("files",))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": None},
        {"aud": []},
        {"aud": ""},
        {"aud": 7},
        {"aud": [RESOURCE, 7]},
        {"aud": "https://other.example"},
        {"aud": f"{RESOURCE}.evil.example"},
        {"aud": RESOURCE.upper()},
        {"aud": f"{RESOURCE}/mcp/*"},
        {"aud": f"{RESOURCE}/mcp/"},
        {"iss": None},
        {"iss": "https://evil.example"},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 0},
        {"nbf": 2**40},
        {"iat": 2**40},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 300},
        {"sub": "a\nb"},
        {"cnf": {"jkt": "x"}},
        {"head": {"typ": "JWT"}, "at_hash": "x"},
        {"head": {"typ": None}, "c_hash": "x"},
        {"head": {"typ": "JWT"}, "events": {}},
    ],
)
async def test_a_token_that_says_the_wrong_thing_is_refused(clock: ManualClock, claims: dict[str, Any]):
    async with opened(clock) as door:
        with pytest.raises(TokenError):
            await door.tokens.recognise(door.token(**claims))


@pytest.mark.parametrize(
    "head",
    [
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
        {"crit": ["exp"]},
        {"kid": "unknown"},
    ],
)
async def test_a_token_with_a_header_that_is_not_understood_is_refused(clock: ManualClock, head: dict[str, Any]):
    async with opened(clock) as door:
        with pytest.raises(TokenError):
            await door.tokens.recognise(door.token(head=head))


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "JWT", None])
async def test_the_types_that_access_tokens_have_are_taken(clock: ManualClock, kind: str | None):
    async with opened(clock) as door:
        assert (await door.tokens.recognise(door.token(head={"typ": kind}))).user == "ann"


async def test_a_token_without_a_key_id_is_tried_with_every_key_that_fits(clock: ManualClock):
    authority = Authority(keys=[new_key("rsa", "RS256"), new_key("first")])
    async with opened(clock, authority) as door:
        assert (await door.tokens.recognise(door.token(authority.keys[1], head={"kid": None}))).user == "ann"


def _changed(token: str) -> str:
    return forged(token, sub="root")


def _unsigned(token: str) -> str:
    return ".".join((part({"alg": "none", "typ": "at+jwt"}), token.split(".")[1], ""))


def _cut(token: str) -> str:
    return token[:-8]


def _no_json(token: str) -> str:
    return "bm9uZQ." + token.partition(".")[2]


def _not_base64(token: str) -> str:
    return "\u00e4." + token.partition(".")[2]


@pytest.mark.parametrize("forge", [_changed, _unsigned, _cut, _no_json, _not_base64])
async def test_a_forged_token_is_refused(clock: ManualClock, forge: Callable[[str], str]):
    async with opened(clock) as door:
        await door.tokens.recognise(door.token())
        with pytest.raises(TokenError, match="not valid here"):
            await door.tokens.recognise(forge(door.token()))


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(clock: ManualClock):
    authority = Authority(keys=[new_key("rsa", "RS256")])
    async with opened(clock, authority) as door:
        public = (
            authority.keys[0]
            .private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        signed = f"{part({'alg': 'HS256', 'kid': 'rsa', 'typ': 'at+jwt'})}.{door.token().split('.')[1]}"
        mac = hmac.new(public, signed.encode(), hashlib.sha256).digest()
        with pytest.raises(TokenError):
            await door.tokens.recognise(f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}")


async def test_a_token_of_another_key_under_a_known_name_is_refused(clock: ManualClock):
    async with opened(clock) as door:
        with pytest.raises(TokenError):
            await door.tokens.recognise(door.token(new_key("first")))


async def test_an_algorithm_that_is_not_allowed_is_refused(clock: ManualClock):
    async with opened(clock, issuer={"algorithms": ["RS256"]}) as door:
        with pytest.raises(TokenError):
            await door.tokens.recognise(door.token())


async def test_an_expired_token_is_refused_also_after_it_was_good(clock: ManualClock):
    async with opened(clock, leeway_seconds=30) as door:
        token = door.token()
        principal = await door.tokens.recognise(token)
        clock.advance(629)
        await door.tokens.recognise(token)
        door.tokens.grant(principal)
        clock.advance(1)
        with pytest.raises(TokenError, match="expired"):
            await door.tokens.recognise(token)
        with pytest.raises(UnknownKeyError, match="expired"):
            door.tokens.grant(principal)
        with pytest.raises(TokenError, match="expired"):
            await door.tokens.recognise(door.token(exp=int(clock.now().timestamp()) - 31, jti="fresh"))


async def test_a_later_token_of_the_same_principal_carries_its_calls_on(clock: ManualClock):
    async with opened(clock, leeway_seconds=0) as door:
        principal = await door.tokens.recognise(door.token())
        clock.advance(500)
        await door.tokens.recognise(door.token(jti="later"))
        clock.advance(200)
        door.tokens.grant(principal)


async def test_a_principal_nobody_came_as_has_no_grant(clock: ManualClock):
    async with opened(clock) as door:
        with pytest.raises(UnknownKeyError, match="no access token"):
            door.tokens.grant(Principal("oauth_unknown"))


async def test_a_token_without_the_scopes_is_told_which(clock: ManualClock):
    async with opened(clock, scopes=["mcp:use", "mcp:read"]) as door:
        await door.tokens.recognise(door.token(scope="mcp:read mcp:use other"))
        await door.tokens.recognise(door.token(scp=["mcp:read", "mcp:use"]))
        with pytest.raises(InsufficientScopeError, match="`mcp:use`"):
            await door.tokens.recognise(door.token(scope="mcp:read"))


def ring(door: Door) -> Keyring:
    return door.tokens.rings[door.authority.url]


async def test_a_withdrawn_key_ends_the_tokens_it_signed(clock: ManualClock):
    async with opened(clock) as door:
        token = door.token()
        principal = await door.tokens.recognise(token)
        door.authority.keys[:] = [new_key("first")]
        await ring(door).refresh()
        with pytest.raises(TokenError):
            await door.tokens.recognise(token)
        with pytest.raises(UnknownKeyError):
            door.tokens.grant(principal)


async def test_a_new_token_counts_although_one_of_a_withdrawn_key_would_last_longer(clock: ManualClock):
    async with opened(clock, keep=True) as door:
        await door.tokens.recognise(door.token(exp=int(clock.now().timestamp()) + 9000))
        door.authority.keys[:] = [new_key("second")]
        await ring(door).refresh()
        token = door.token()
        principal = await door.tokens.recognise(token)
        door.tokens.grant(principal)
        assert door.tokens.subject_token(principal) == token


async def test_what_is_remembered_is_bounded(clock: ManualClock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tokens, "MOST", 3)
    async with opened(clock) as door:
        for number in range(9):
            await door.tokens.recognise(door.token(sub=f"s{number}"))
        assert len(door.tokens) == 3


async def test_a_token_is_kept_only_where_it_is_to_be_exchanged(clock: ManualClock):
    async with opened(clock) as door:
        principal = await door.tokens.recognise(door.token())
        with pytest.raises(UnknownKeyError, match="not kept"):
            door.tokens.subject_token(principal)
    async with opened(clock, keep=True) as door:
        token = door.token()
        principal = await door.tokens.recognise(token)
        assert door.tokens.subject_token(principal) == token
        assert token not in repr(vars(door.tokens))


async def test_the_keys_are_kept_fresh_in_the_background(clock: ManualClock):
    async with opened(clock) as door, anyio.create_task_group() as group:
        group.start_soon(door.tokens.run)
        while "/jwks" not in door.authority.asked:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


async def test_one_person_in_two_tenants_is_two_principals(clock: ManualClock):
    async with opened(clock, issuer={"claims": {"tenant": "org_id"}}, keep=True) as door:
        one, other = door.token(org_id="red"), door.token(org_id="blue", exp=int(clock.now().timestamp()) + 900)
        red, blue = await door.tokens.recognise(one), await door.tokens.recognise(other)
        assert (red.tenant, blue.tenant) == ("red", "blue")
        assert red.key_id != blue.key_id
        assert (door.tokens.subject_token(red), door.tokens.subject_token(blue)) == (one, other)


async def test_a_token_for_everything_does_not_stand_in_for_one_for_a_server(clock: ManualClock):
    async with opened(clock, keep=True) as door:
        late = int(clock.now().timestamp()) + 900
        little, much = door.token(aud=f"{RESOURCE}/mcp/files"), door.token(exp=late)
        narrow, wide = await door.tokens.recognise(little), await door.tokens.recognise(much)
        assert narrow.key_id == wide.key_id
        assert (door.tokens.subject_token(narrow), door.tokens.subject_token(wide)) == (little, much)
        clock.advance(700)
        assert door.tokens.grant(wide).servers == ("*",)
        with pytest.raises(TokenError):
            door.tokens.grant(narrow)
