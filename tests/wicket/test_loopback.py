"""The port at which a sign-in comes back: whoever calls it, the sign-in goes on."""

from urllib.parse import urlsplit

import anyio
import pytest

from wicket.loopback import open_browser


async def said(port: int, request: bytes) -> bytes:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request)
        return await stream.receive()


@pytest.mark.parametrize("target", ["//[", "http://[x/callback?code=1", "/callback?code=1&state=\xff", ""])
async def test_a_call_that_makes_no_sense_does_not_end_the_sign_in(target: str):
    shown: list[str] = []
    with anyio.fail_after(10):
        async with open_browser(0, shown.append) as browser:
            await browser.visit("https://login.example/authorize?state=known")
            port = urlsplit(browser.redirect_uri).port or 0
            answer = await said(port, f"GET {target} HTTP/1.1\r\n\r\n".encode("latin-1"))
            assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
            await said(port, b"GET /callback?code=c&state=known HTTP/1.1\r\n\r\n")
            assert (await browser.answer()).code == "c"
