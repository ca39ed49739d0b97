"""`servers list`, `servers login` and `servers logout`: a person signs in, and nothing of it is shown or logged."""

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
from anyio.abc import Process

from tests.authority import Authority
from tests.mcp_proxy.guarded_upstream import GuardedUpstream
from tests.mcp_proxy.harness import serving
from tests.mcp_proxy.raw_upstream import RawUpstream
from tests.wicket.conftest import Wicket

CONFIG = """
gateway: {{port: 0}}
mcp: {{port: 0}}
mcpServers:
  up: {{url: '{url}', auth: {{grant: authorization_code, callback_port: 0}}}}
  plain: {{url: 'http://127.0.0.1:1/mcp', headers: {{x: y}}}}
"""


class Place(NamedTuple):
    authority: Authority
    guarded: GuardedUpstream
    folder: Path


@asynccontextmanager
async def placed(folder: Path) -> AsyncGenerator[Place]:
    authority = Authority()
    guarded = GuardedUpstream(authority, RawUpstream())
    with anyio.fail_after(60):
        async with serving(authority.app()) as issuer, serving(guarded) as url:
            authority.url, guarded.url = issuer, f"{url}/mcp"
            await anyio.Path(folder / "wicket.yaml").write_text(CONFIG.format(url=guarded.url))
            await anyio.Path(folder / "policy.yaml").write_text("version: 1\ndefault: allow\n")
            assert (await ran(folder, "init"))[0] == 0
            yield Place(authority, guarded, folder)


@asynccontextmanager
async def running(folder: Path, *arguments: str) -> AsyncGenerator[Process]:
    command = [sys.executable, "-m", "wicket", *arguments]
    async with await anyio.open_process(command, cwd=folder) as process:
        yield process


async def ran(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and everything that a command said."""
    done = await anyio.run_process([sys.executable, "-m", "wicket", *arguments], cwd=folder, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


async def told_address(process: Process) -> str:
    """The address that a command shows."""
    said = ""
    assert process.stderr is not None
    while True:
        said += (await process.stderr.receive()).decode()
        if found := re.search(r"(http://\S+/authorize\S+)\n", said):
            return found[1]


async def test_a_person_signs_in_with_a_browser_and_out_again(tmp_path: Path):
    async with placed(tmp_path) as place:
        code, said = await ran(tmp_path, "doctor")
        assert code == 1
        assert "needs a person to sign in: run `wicket servers login up`" in said
        async with running(tmp_path, "servers", "login", "up") as process, httpx2.AsyncClient() as browser:
            back = (await browser.get(await told_address(process))).headers["location"]
            assert (await browser.get(urlsplit(back)._replace(path="/other").geturl())).status_code == 404
            page = await browser.get(back)
            assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
            assert await process.wait() == 0
        assert place.authority.forms[0]["redirect_uri"] == back.partition("?")[0]
        code, said = await ran(tmp_path, "doctor")
        assert code == 0, said
        code, said = await ran(tmp_path, "servers", "list")
        assert re.search(r"up .*authorization_code +signed in\n", said)
        assert re.search(r"plain .*headers +-\n", said)
        code, logged = await ran(tmp_path, "audit", "show")
        assert "server.signed_in" in logged
        secrets = [*place.authority.issued, *place.authority.refresh_tokens]
        assert [secret for secret in secrets if secret in said + logged] == []
        assert (await ran(tmp_path, "servers", "logout", "up"))[0] == 0
        assert (await ran(tmp_path, "servers", "logout", "up"))[0] == 4


async def test_a_person_who_says_no_is_told_so(tmp_path: Path):
    async with (
        placed(tmp_path) as place,
        running(tmp_path, "servers", "login", "up") as process,
        httpx2.AsyncClient() as browser,
    ):
        state = parse_qs(urlsplit(await told_address(process)).query)["state"][0]
        back = place.authority.registered[0]["redirect_uris"][0]
        # Any page that the person has open can call this address too, and must not end the sign-in.
        assert (await browser.get(back, params={"error": "access_denied", "state": "x"})).status_code == 400
        assert (await browser.get(back, params={"error": "access_denied"})).status_code == 400
        await browser.get(back, params={"error": "access_denied", "state": state})
        assert await process.wait() == 5
        assert process.stderr is not None
        assert b"the sign-in was refused (`access_denied`)" in await process.stderr.receive()


async def test_an_answer_with_another_state_is_refused_and_the_right_one_still_counts(tmp_path: Path):
    async with (
        placed(tmp_path) as place,
        running(tmp_path, "servers", "login", "up") as process,
        httpx2.AsyncClient() as browser,
    ):
        back = (await browser.get(await told_address(process))).headers["location"]
        assert (await browser.get(re.sub(r"state=[^&]+", "state=forged", back))).status_code == 400
        assert place.authority.forms == []
        assert (await browser.get(back)).status_code == 200
        assert await process.wait() == 0


def test_a_server_that_wants_nobody_says_so(wicket: Wicket, installed: Path):
    with (installed / "wicket.yaml").open("a") as file:
        file.write("mcpServers: {plain: {url: 'http://127.0.0.1:1/mcp'}}\n")
    ran = wicket("servers", "login", "plain")
    assert (ran.code, "nobody signs in at `plain`" in ran.err) == (3, True)
    ran = wicket("servers", "login", "other")
    assert (ran.code, "no server `other` is configured" in ran.err) == (4, True)
    assert wicket("servers", "logout", "plain").code == 4
    assert wicket("servers", "list", "--json").json[0]["name"] == "plain"
