"""Tokens that only their issuer can read: it is asked, briefly believed, and without an answer nobody comes in."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import jwt
import pytest

from governance.config.authorization import OAuth
from governance.config.models import Identity as Settings
from governance.exchange import Action, Body, Exchange, Phase, Principal, Resource, SessionRef
from governance.identity import introspection
from governance.identity.directory import Identity
from governance.identity.refusals import IdentityStaleError, InsufficientScopeError, TokenError, UnknownKeyError
from governance.identity.stage import IdentityStage
from governance.identity.tokens import Tokens, open_tokens
from governance.verdict import Decision
from tests.authority import Authority
from tests.conftest import ManualClock
from tests.governance.identity.test_client_auth import EC, pem
from tests.governance.identity.test_directory import Shelf
from tests.mcp_proxy.harness import serving
from tests.thoughts import told

RESOURCE = "https://wicket.example"
SECRET = "introspection-secret-of-these-tests"


class Door(NamedTuple):
    """A resource server and the authorization server that it asks."""

    tokens: Tokens
    authority: Authority
    clock: ManualClock

    def tell(self, token: str, **said: Any) -> str:
        """Let the authority know a token, and what it says of it."""
        now = int(self.clock.now().timestamp())
        usual = {"sub": "ann", "client_id": "agent-7", "aud": RESOURCE, "scope": "mcp:use", "exp": now + 600}
        found = {**usual, **said}
        self.authority.opaque[token] = {name: value for name, value in found.items() if value is not None}
        return token


@asynccontextmanager
async def opened(
    clock: ManualClock, *, more: tuple[dict[str, Any], ...] = (), settings: dict[str, Any] | None = None, **asking: Any
) -> AsyncGenerator[Door]:
    authority = Authority()
    with anyio.fail_after(20):
        async with serving(authority.app()) as url:
            authority.url = url
            client = {"client_id": "wicket", "client_secret": SECRET, **asking}
            issuer = {"issuer": url, "check": "introspection", "introspection": client}
            said = {"resource": RESOURCE, "issuers": [issuer, *more], **(settings or {})}
            async with open_tokens(OAuth.model_validate(said), clock) as found:
                assert found is not None
                yield Door(found, authority, clock)


async def test_a_token_stands_for_whom_the_issuer_names(clock: ManualClock):
    async with opened(clock) as door:
        token = door.tell("opaque-1", token_type="Bearer", iss=door.authority.url)
        assert door.tokens.takes(token)
        found = await door.tokens.recognise(token)
        assert (found.user, found.agent, found.servers, found.models) == ("ann", "agent-7", ("*",), ("*",))
        assert found.key_id.startswith("oauth_")
        asked = door.authority.questions[0]
        assert (asked["token"], asked["token_type_hint"]) == (token, "access_token")
        assert asked["auth"] == f"wicket:{SECRET}"
        assert token not in repr(vars(door.tokens))


async def test_a_signed_token_of_that_issuer_is_asked_about_too_and_one_of_another_never(clock: ManualClock):
    async with opened(clock) as door:
        token = door.tell(door.authority.token(clock.now(), aud=RESOURCE))
        assert (await door.tokens.recognise(token)).user == "ann"
        foreign = door.tell(door.authority.token(clock.now(), aud=RESOURCE, iss="https://other.example"))
        with pytest.raises(TokenError):
            await door.tokens.recognise(foreign)
        assert [asked["token"] for asked in door.authority.questions] == [token]


async def test_signed_tokens_of_another_issuer_go_on_working(clock: ManualClock):
    signing = Authority()
    async with serving(signing.app()) as url:
        signing.url = url
        async with opened(clock, more=({"issuer": url},)) as door:
            assert (await door.tokens.recognise(signing.token(clock.now(), aud=RESOURCE))).user == "ann"
            assert door.authority.questions == []
            assert list(door.tokens.rings) == [url]


async def test_wicket_may_sign_that_it_is_wicket(clock: ManualClock):
    key: dict[str, Any] = {"client_secret": "", "client_auth": "private_key_jwt", "client_key": pem(EC)}
    async with opened(clock, **key) as door:
        await door.tokens.recognise(door.tell("opaque-1"))
        asked = door.authority.questions[0]
        options: Any = {"verify_exp": False, "verify_iat": False}
        said = jwt.decode(
            asked["client_assertion"], EC.public_key(), ["ES256"], audience=door.authority.url, options=options
        )
        assert (said["sub"], asked["client_id"], asked["auth"]) == ("wicket", "wicket", "")


async def test_an_answer_is_believed_briefly_and_a_revoked_token_ends(clock: ManualClock):
    async with opened(clock, cache_seconds=20) as door:
        token = door.tell("opaque-1")
        principal = await door.tokens.recognise(token)
        clock.advance(19)
        await door.tokens.recognise(token)
        await door.tokens.renew(principal)
        assert len(door.authority.questions) == 1
        clock.advance(1)
        await door.tokens.renew(principal)
        assert len(door.authority.questions) == 2
        door.authority.opaque.clear()
        clock.advance(20)
        with pytest.raises(TokenError):
            await door.tokens.renew(principal)
        with pytest.raises(UnknownKeyError):
            door.tokens.grant(principal)
        with pytest.raises(TokenError):
            await door.tokens.recognise(token)
        assert len(door.authority.questions) == 3, "a refusal is remembered as long"


async def test_a_call_that_waited_is_refused_once_its_token_is_revoked(clock: ManualClock):
    async with opened(clock) as door:
        identity = Identity(Shelf(), clock, Settings(), tokens=door.tokens)
        stage, run = IdentityStage(identity), SessionRef("s", "key")
        principal = await identity.recognise(door.tell("opaque-1"))
        files = Resource(server="files")
        call = Exchange("x", clock.now(), Action.TOOL_CALL, principal, files, run, Body.parse(b"{}"))
        assert (await told(stage.judge(call, Phase.REQUEST))).decision is Decision.ALLOW
        clock.advance(30)
        door.authority.is_down = True
        assert (await told(stage.judge(call, Phase.REQUEST))).rule == "identity.stale"
        door.authority.is_down = False
        assert (await told(stage.judge(call, Phase.REQUEST))).decision is Decision.ALLOW
        door.authority.opaque.clear()
        clock.advance(30)
        assert (await told(stage.judge(call, Phase.REQUEST))).rule == "identity.key"


async def test_without_cache_every_use_asks(clock: ManualClock):
    async with opened(clock, cache_seconds=0) as door:
        token = door.tell("opaque-1")
        await door.tokens.recognise(token)
        door.tokens.grant(await door.tokens.recognise(token))
        assert len(door.authority.questions) == 2


async def test_an_answer_ends_with_its_token(clock: ManualClock):
    async with opened(clock, settings={"leeway_seconds": 0}, cache_seconds=300) as door:
        token = door.tell("opaque-1", exp=int(clock.now().timestamp()) + 10)
        principal = await door.tokens.recognise(token)
        clock.advance(10)
        with pytest.raises(TokenError, match="expired"):
            await door.tokens.recognise(token)
        with pytest.raises(TokenError, match="expired"):
            door.tokens.grant(principal)


async def test_a_token_whose_end_nobody_tells_is_asked_about_again(clock: ManualClock):
    async with opened(clock) as door:
        token = door.tell("opaque-1", exp=None)
        principal = await door.tokens.recognise(token)
        clock.advance(10_000)
        await door.tokens.renew(principal)
        door.tokens.grant(principal)
        assert len(door.authority.questions) == 2


@pytest.mark.parametrize(
    "said",
    [
        {"active": False},
        {"active": "true"},
        {"active": 1},
        {"aud": None},
        {"aud": "https://other.example"},
        {"sub": None},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"nbf": 2**40},
        {"cnf": {"jkt": "x"}},
        {"token_type": "DPoP"},
        {"token_use": "refresh_token"},
        {"typ": "Refresh"},
    ],
)
async def test_a_token_of_which_the_wrong_thing_is_said_is_refused(clock: ManualClock, said: dict[str, Any]):
    async with opened(clock) as door:
        token = door.tell("opaque-1", **said)
        for _ in range(3):
            with pytest.raises(TokenError):
                await door.tokens.recognise(token)
        assert len(door.authority.questions) == 1
        assert len(door.tokens) == 0


async def test_a_token_without_the_scopes_is_told_which(clock: ManualClock):
    async with opened(clock, settings={"scopes": ["mcp:use"]}) as door:
        with pytest.raises(InsufficientScopeError, match="`mcp:use`"):
            await door.tokens.recognise(door.tell("opaque-1", scope="other"))


async def test_a_token_that_is_for_less_by_now_does_not_go_on_for_more(clock: ManualClock):
    async with opened(clock) as door:
        wide = await door.tokens.recognise(door.tell("opaque-1"))
        door.tell("opaque-1", aud=f"{RESOURCE}/mcp/files")
        clock.advance(30)
        await door.tokens.renew(wide)
        with pytest.raises(UnknownKeyError):
            door.tokens.grant(wide)


@pytest.mark.parametrize("what", ["down", "no endpoint", "bad endpoint", "no json"])
async def test_without_an_answer_nobody_comes_in_and_known_tokens_end(clock: ManualClock, what: str):
    async with opened(clock) as door:
        token = door.tell("opaque-1")
        if what == "no json":
            door.authority.opaque[token] = []
        elif what == "down":
            principal = await door.tokens.recognise(token)
            door.authority.is_down = True
            clock.advance(30)
            with pytest.raises(IdentityStaleError):
                await door.tokens.renew(principal)
        else:
            bad = None if what == "no endpoint" else "http://elsewhere.example/introspect"
            door.authority.metadata = {"introspection_endpoint": bad}
        with pytest.raises(IdentityStaleError, match="try again later"):
            await door.tokens.recognise(token)
        door.authority.is_down, door.authority.metadata = False, {}
        door.tell(token)
        assert (await door.tokens.recognise(token)).user == "ann"


async def test_many_calls_with_one_token_ask_once(clock: ManualClock):
    async with opened(clock) as door:
        token = door.tell("opaque-1")
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(door.tokens.recognise, token)
        assert len(door.authority.questions) == 1


async def test_strangers_cannot_make_wicket_ask_without_bound(clock: ManualClock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(introspection, "MOST_WAITING", 3)
    monkeypatch.setattr(introspection, "MOST_REFUSED", 2)
    told: list[str] = []
    async with opened(clock) as door:

        async def knock(number: int) -> None:
            with pytest.raises((TokenError, IdentityStaleError)) as caught:
                await door.tokens.recognise(f"made-up-{number}")
            told.append(caught.typename)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(knock, number)
        assert (told.count("IdentityStaleError"), told.count("TokenError")) == (7, 3)
        assert len(door.authority.questions) == 3
        assert (await door.tokens.recognise(door.tell("opaque-1"))).user == "ann"


async def test_what_cannot_be_a_token_is_not_sent_anywhere(clock: ManualClock):
    async with opened(clock) as door:
        for text in ("", "two words", "a\u00e4", "x" * 20_000, "a&token=b"):
            assert not door.tokens.takes(text)


async def test_a_principal_that_is_not_asked_about_is_left_alone(clock: ManualClock):
    async with opened(clock) as door:
        await door.tokens.renew(Principal("oauth_unknown"))
