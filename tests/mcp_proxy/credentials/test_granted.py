"""One grant for everybody: got, shown, renewed in time and once, and never told to anyone."""

import contextlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from governance.vault.store import Kept, SqlVault
from mcp_proxy.credentials.credential import CredentialError, Refusal, SignInError
from mcp_proxy.credentials.grant import Grant
from mcp_proxy.credentials.granted import AGAIN_SECONDS, Granted
from mcp_proxy.credentials.opening import open_credentials
from mcp_proxy.servers import open_servers
from tests.conftest import ManualClock
from tests.mcp_proxy.credentials.stage import ANN, SECRET, SIGNING, ask, signed_by, staged

PERSON: Mapping[str, Any] = {"grant": "authorization_code"}
OURSELVES: Mapping[str, Any] = {
    "grant": "client_credentials",
    "client_id": "wicket",
    "client_secret": SECRET,
    "issuer": "ISSUER",
}


async def test_a_person_signs_in_once_and_calls_go_through(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        with pytest.raises(CredentialError, match="run `wicket servers login up`"):
            await stage.ask()
        assert stage.shown == []
        await stage.sign_in()
        assert await stage.ask()
        asked = stage.authority.authorized[0]
        assert (asked["code_challenge_method"], asked["resource"]) == ("S256", stage.guarded.url)
        assert asked["scope"] == "files:read"
        assert stage.authority.registered[0]["client_name"] == "Wicket"
        assert stage.shown[-1] == f"Bearer {stage.authority.issued[-1]}"


async def test_a_grant_is_renewed_before_it_ends_and_the_new_refresh_token_is_kept(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        first = await stage.sign_in()
        await stage.ask()
        clock.advance(3600 - 61)
        await stage.ask()
        assert len(stage.authority.issued) == 1
        clock.advance(1)
        await stage.ask()
        kept = await stage.kept()
        assert [form["grant_type"] for form in stage.authority.forms] == ["authorization_code", "refresh_token"]
        assert stage.authority.forms[1]["resource"] == stage.guarded.url
        assert kept.token["refresh_token"] != first.token["refresh_token"]
        assert kept.access_token == stage.authority.issued[-1]
        assert stage.shown[-1] == f"Bearer {stage.authority.issued[-1]}"


async def test_a_server_that_does_not_rotate_keeps_its_refresh_token(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        stage.authority.rotates = False
        first = await stage.sign_in()
        clock.advance(3600)
        await stage.ask()
        assert (await stage.kept()).token["refresh_token"] == first.token["refresh_token"]


async def test_many_calls_at_once_renew_once(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        clock.advance(3600)
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(stage.ask)
        assert len(stage.authority.forms) == 2


async def test_two_processes_renew_once(tmp_path: Path, clock: ManualClock):
    async with (
        staged(tmp_path, clock, PERSON) as stage,
        open_credentials(stage.config, clock, stage.vault, None) as credentials,
        open_servers(stage.config, clock, lambda: 0.5, credentials=credentials) as others,
    ):
        await stage.sign_in()
        clock.advance(3600)
        async with anyio.create_task_group() as group:
            group.start_soon(stage.ask)
            group.start_soon(ask, others["up"])
        assert len(stage.authority.forms) == 2
        assert len(set(stage.shown[1:])) == 1


class _Late:
    """The vault of a process to which something happens between looking and claiming."""

    def __init__(self, inner: SqlVault, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._inner = inner
        self._meanwhile = meanwhile

    async def load(self, server: str) -> Kept | None:
        return await self._inner.load(server)

    async def renew(self, server: str, secret: bytes, *, after: str) -> bool:
        return await self._inner.renew(server, secret, after=after)

    async def claim(self, server: str, until: datetime, *, after: str) -> str:
        await self._meanwhile()
        return await self._inner.claim(server, until, after=after)

    async def release(self, server: str, claim: str) -> None:
        await self._inner.release(server, claim)


async def test_a_refresh_token_that_another_process_used_up_is_not_used_again(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        late = _Late(stage.vault, stage.ask)
        async with open_credentials(stage.config, clock, late, None) as credentials:
            await stage.sign_in()
            clock.advance(3600)
            shown = await credentials["up"].headers(ANN)
        assert [form["grant_type"] for form in stage.authority.forms] == ["authorization_code", "refresh_token"]
        assert shown == {"authorization": f"Bearer {stage.authority.issued[-1]}"}


class _Slow:
    """A source whose first successor is waited for, and then does not come."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.asked, self.answers = anyio.Event(), anyio.Event()

    async def current(self) -> Grant | None:
        return self.grant

    async def successor(self, old: Grant | None) -> Grant:
        self.asked.set()
        await self.answers.wait()
        raise SignInError("not now")


async def test_a_call_that_waited_while_the_token_was_refused_is_told_why(clock: ManualClock):
    now = clock.now()
    source = _Slow(Grant("x", {"access_token": "t"}, {}, {}, {}, *(f"{now + timedelta(minutes=m)}" for m in (9, 5))))
    granted = Granted("up", source, clock)
    shown = await granted.headers(ANN)
    clock.advance(300)
    told: list[str] = []

    async def refused() -> None:
        with pytest.raises(SignInError) as caught:
            await granted.renewed(ANN, shown, Refusal(401, ""))
        told.append(str(caught.value))

    async def waits() -> None:
        with pytest.raises(SignInError) as caught:
            await granted.headers(ANN)
        told.append(str(caught.value))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(refused)
            await source.asked.wait()
            group.start_soon(waits)
            await anyio.wait_all_tasks_blocked()
            source.answers.set()
    assert told == ["not now", "not now"]


async def test_a_token_that_is_refused_is_renewed_once_and_the_call_made_again(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        await stage.ask()
        stage.guarded.revoked.add(stage.authority.issued[-1])
        assert await stage.ask()
        assert len(stage.authority.issued) == 2


async def test_a_server_that_refuses_every_token_is_not_asked_for_ever(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        stage.guarded.url, stage.guarded.revoked = "x", _Everything()
        with pytest.raises(Exception, match="refused the credentials"):
            await stage.ask()
        assert len(stage.shown) == 1 + 2
        assert len(stage.authority.issued) == 2


class _Everything(set[str]):
    def __contains__(self, item: object) -> bool:
        return True


async def test_a_refresh_token_that_is_not_taken_asks_for_a_person(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        stage.authority.refresh_tokens.clear()
        clock.advance(3600)
        with pytest.raises(CredentialError, match="run `wicket servers login up`"):
            await stage.ask()
        await stage.sign_in()
        assert await stage.ask()


async def test_every_call_that_waited_for_a_renewal_is_told_why_it_failed(tmp_path: Path, clock: ManualClock):
    told: list[str] = []
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        await stage.ask()
        stage.authority.refresh_tokens.clear()
        clock.advance(3600)

        async def fail() -> None:
            with pytest.raises(CredentialError) as caught:
                await stage.ask()
            told.append(str(caught.value))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(fail)
        assert len(told) == 5
        assert len(stage.authority.forms) == 2


async def test_an_authorization_server_that_is_down_ends_no_grant_before_its_time(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        await stage.ask()
        stage.authority.breaks = True
        clock.advance(3570)
        assert await stage.ask()
        clock.advance(31)
        with pytest.raises(SignInError, match="try again later"):
            await stage.ask()
        asked = len(stage.authority.forms)
        stage.authority.breaks = False
        with pytest.raises(SignInError, match="try again later"):
            await stage.ask()
        assert len(stage.authority.forms) == asked
        clock.advance(AGAIN_SECONDS)
        assert await stage.ask()


async def test_a_renewal_that_could_not_be_written_is_not_lost(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
):
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        await stage.ask()
        with contextlib.closing(sqlite3.connect(tmp_path / "wicket.db", timeout=20)) as database:
            database.execute(
                "CREATE TRIGGER full BEFORE UPDATE OF sealed ON grants BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
            clock.advance(3600)
            for _ in range(2):
                with pytest.raises(SignInError, match="could not be kept"):
                    await stage.ask()
            assert "is in memory only" in caplog.text
            assert len(stage.authority.forms) == 2
            database.execute("DROP TRIGGER full")
            database.commit()
        assert await stage.ask()
        assert len(stage.authority.forms) == 2, "the old refresh token was used up"
        assert (await stage.kept()).access_token == stage.authority.issued[-1]
        assert stage.shown[-1] == f"Bearer {stage.authority.issued[-1]}"


async def test_a_new_sign_in_takes_the_place_of_a_renewal_that_could_not_be_written(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        with contextlib.closing(sqlite3.connect(tmp_path / "wicket.db", timeout=20)) as database:
            database.execute(
                "CREATE TRIGGER full BEFORE UPDATE OF sealed ON grants WHEN OLD.claimed_until != '' "
                "BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
            clock.advance(3600)
            with pytest.raises(SignInError, match="could not be kept"):
                await stage.ask()
            database.execute("DROP TRIGGER full")
            database.commit()
        new = await stage.sign_in()
        assert await stage.ask()
        assert stage.shown[-1] == f"Bearer {new.access_token}"


async def test_scope_that_is_wanted_besides_is_told(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        stage.guarded.wants = "files:write"
        with pytest.raises(CredentialError, match="wants the scope `files:write`"):
            await stage.ask()
        assert len(stage.authority.issued) == 1


async def test_wicket_gets_and_renews_a_token_of_its_own(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, OURSELVES) as stage:
        assert await stage.ask()
        form = stage.authority.forms[0]
        assert (form["grant_type"], form["auth"]) == ("client_credentials", f"wicket:{SECRET}")
        assert (form["resource"], form["scope"]) == (stage.guarded.url, "files:read")
        clock.advance(3600)
        assert await stage.ask()
        stage.guarded.revoked.add(stage.authority.issued[-1])
        assert await stage.ask()
        assert len(stage.authority.issued) == 3


async def test_wicket_may_sign_that_it_is_wicket(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, {**SIGNING, "grant": "client_credentials"}) as stage:
        assert await stage.ask()
        clock.advance(3600)
        assert await stage.ask()
        first, second = stage.authority.forms
        assert [signed_by(form, stage.authority.url) for form in (first, second)] == ["wicket", "wicket"]
        assert first["client_assertion"] != second["client_assertion"]
        assert (first["grant_type"], first["resource"]) == ("client_credentials", stage.guarded.url)


async def test_the_secret_may_go_in_the_body_and_scopes_may_be_configured(tmp_path: Path, clock: ManualClock):
    auth = {**OURSELVES, "client_auth": "client_secret_post", "scopes": ["files:write", "x"]}
    async with staged(tmp_path, clock, auth) as stage:
        await stage.ask()
        form = stage.authority.forms[0]
        assert (form["client_id"], form["client_secret"], form["auth"]) == ("wicket", SECRET, "")
        assert form["scope"] == "files:write x"


async def test_the_secret_goes_to_no_authorization_server_that_only_the_server_names(
    tmp_path: Path, clock: ManualClock
):
    async with staged(tmp_path, clock, {**OURSELVES, "issuer": "http://127.0.0.1:9"}) as stage:
        with pytest.raises(CredentialError, match=r"another authorization server|rules of a sign-in"):
            await stage.ask()
        assert stage.authority.forms == []


async def test_old_streams_are_opened_and_written_to_with_the_token(tmp_path: Path, clock: ManualClock):
    async with staged(tmp_path, clock, OURSELVES, kind="sse") as stage:
        with pytest.raises(Exception, match="no stream"):
            await stage.ask()
        assert stage.shown[-1] == f"Bearer {stage.authority.issued[-1]}"


async def test_no_token_is_in_any_log_or_error(tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with staged(tmp_path, clock, PERSON) as stage:
        await stage.sign_in()
        await stage.ask()
        stage.authority.refresh_tokens.clear()
        clock.advance(3600)
        with pytest.raises(CredentialError) as caught:
            await stage.ask()
        kept = await stage.kept()
        secrets = [*stage.authority.issued, str(kept.token["refresh_token"]), SECRET]
        said = caplog.text + str(caught.value) + repr(kept) + repr(stage.server)
        assert [secret for secret in secrets if secret in said] == []
    on_disk = b"".join([await path.read_bytes() async for path in anyio.Path(tmp_path).iterdir()])
    assert [secret for secret in secrets if secret.encode() in on_disk] == []
