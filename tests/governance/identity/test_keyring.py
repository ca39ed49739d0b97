"""Keys of an issuer: which of those that it publishes are used, and answers that are not read."""

import gzip
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from governance.identity import keyring
from governance.identity.keyring import read_keys
from governance.identity.metadata import MetadataError, fetch
from tests.authority import SigningKey, new_key
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
