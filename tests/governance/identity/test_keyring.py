"""Keys of an issuer: which of those that it publishes are used, when they are read, and answers that are not read."""

import gzip
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from approvals.webhook import transport
from governance.identity import keyring
from governance.identity.keyring import read_keys
from governance.identity.metadata import MetadataError, fetch
from governance.identity.refusals import IdentityStaleError, TokenError
from tests.authority import Authority, SigningKey, new_key
from tests.conftest import ManualClock
from tests.governance.identity.test_tokens import opened
from tests.mcp_proxy.harness import serving

KEY = new_key("a").jwk


@pytest.mark.parametrize(
    "entry",
    [
        {**KEY, "use": "enc"},
        {**KEY, "key_ops": ["sign"]},
        {**KEY, "kty": "oct", "k": "c2VjcmV0"},
        {**KEY, "crv": "P-999"},
        {**KEY, "x": "!"},
        {**KEY, "x": None},
        {"kty": "RSA"},
        SigningKey("s", "RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024)).jwk,
        "text",
        None,
    ],
)
def test_a_key_that_cannot_verify_is_left_out(entry: Any):
    assert [key.kid for key in read_keys({"keys": [entry, new_key("good").jwk]})] == ["good"]


def test_a_key_is_used_with_its_own_algorithm_only():
    (key,) = read_keys({"keys": [KEY]})
    assert key.fits("ES256")
    assert not any(key.fits(one) for one in ("ES384", "RS256", "PS256", "HS256", "none", "EdDSA", ""))
    (rsa_key,) = read_keys(
        {"keys": [{name: value for name, value in new_key("r", "RS256").jwk.items() if name != "alg"}]}
    )
    assert (rsa_key.fits("RS256"), rsa_key.fits("PS256"), rsa_key.fits("HS256")) == (True, True, False)


def test_a_set_without_keys_is_empty():
    assert read_keys({}) == ()
    assert read_keys({"keys": "x"}) == ()


async def test_answers_that_are_not_plain_json_objects_are_not_read():
    async def large(_: Any) -> Response:
        return Response(b'{"a": "' + b"x" * 300_000 + b'"}')

    async def away(_: Any) -> Response:
        return RedirectResponse("/list")

    async def listed(_: Any) -> Response:
        return JSONResponse([])

    async def packed(_: Any) -> Response:
        return Response(gzip.compress(gzip.compress(b"{}")), headers={"content-encoding": "gzip, gzip"})

    async def doubled(_: Any) -> Response:
        return Response(b'{"keys": [], "keys": []}')

    routes = [
        Route("/large", large),
        Route("/away", away),
        Route("/list", listed),
        Route("/doubled", doubled),
        Route("/packed", packed),
    ]
    with anyio.fail_after(20):
        async with serving(Starlette(routes=routes)) as url, keyring.client() as client:
            for path in ("large", "away", "list", "doubled", "packed", "none"):
                with pytest.raises(MetadataError):
                    await fetch(client, f"{url}/{path}")
            with pytest.raises(MetadataError, match="cannot be reached"):
                await fetch(client, "http://127.0.0.1:1/")


async def test_a_new_key_is_found_when_it_is_first_used(clock: ManualClock):
    async with opened(clock) as door:
        await door.tokens.recognise(door.token())
        door.authority.keys.append(fresh := new_key("second"))
        clock.advance(keyring.UNKNOWN_SECONDS)
        await door.tokens.recognise(door.token(fresh))


async def test_unknown_key_ids_do_not_make_the_keys_be_read_again_and_again(clock: ManualClock):
    async with opened(clock) as door:
        await door.tokens.recognise(door.token())
        asked = len(door.authority.asked)
        for number in range(50):
            with pytest.raises(TokenError):
                await door.tokens.recognise(door.token(head={"kid": f"k{number}"}))
        assert len(door.authority.asked) == asked
        clock.advance(keyring.UNKNOWN_SECONDS)
        for number in range(50):
            with pytest.raises(TokenError):
                await door.tokens.recognise(door.token(head={"kid": f"k{number}"}))
        assert door.authority.asked[asked:] == ["/.well-known/oauth-authorization-server", "/jwks"]
        await door.tokens.recognise(door.token(jti="still served"))


async def test_keys_that_could_not_be_read_for_too_long_are_not_believed(clock: ManualClock):
    async with opened(clock, stale_seconds=60) as door:
        token = door.token(exp=2**35)
        principal = await door.tokens.recognise(token)
        door.authority.is_down = True
        clock.advance(60)
        await door.tokens.recognise(token)
        clock.advance(1)
        for attempt in (token, door.token(jti="new")):
            with pytest.raises(IdentityStaleError):
                await door.tokens.recognise(attempt)
        with pytest.raises(IdentityStaleError):
            door.tokens.grant(principal)
        door.authority.is_down = False
        clock.advance(keyring.UNKNOWN_SECONDS)
        await door.tokens.recognise(door.token(jti="newer", exp=2**35))


async def test_an_issuer_that_cannot_be_reached_is_said_to_be_so(clock: ManualClock):
    async with opened(clock, Authority(is_down=True)) as door:
        with pytest.raises(IdentityStaleError, match="try again later"):
            await door.tokens.recognise(door.token())


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"jwks_uri": "http://keys.example/jwks"},
        {"jwks_uri": "https://keys.example/\x01"},
        {"jwks_uri": None},
    ],
)
async def test_metadata_that_must_not_be_used_is_not_used(clock: ManualClock, metadata: dict[str, Any]):
    async with opened(clock, Authority(metadata=metadata)) as door:
        with pytest.raises(IdentityStaleError):
            await door.tokens.recognise(door.token())


async def test_the_keys_may_be_named_without_metadata(clock: ManualClock):
    authority = Authority(metadata={"issuer": "x"})
    async with (
        serving(authority.app()) as url,
        opened(clock, authority, issuer={"issuer": "https://login.example", "jwks_url": f"{url}/jwks"}) as door,
    ):
        authority.url = "https://login.example"
        await door.tokens.recognise(door.token())


async def test_a_cookie_of_an_issuer_is_not_kept():
    came: list[str] = []

    async def cookies(request: Request) -> Response:
        came.append(request.headers.get("cookie", ""))
        return Response(b"{}", headers={"set-cookie": "who=you; Path=/"})

    with anyio.fail_after(20):
        async with (
            serving(Starlette(routes=[Route("/keys", cookies)])) as url,
            keyring.client() as ours,
            transport.client(("127.0.0.1",)) as checked,
        ):
            for client in (ours, ours, checked, checked):
                await fetch(client, f"{url}/keys")
    assert came == [""] * 4
