"""Who may come in, and when nobody may."""

import dataclasses
from datetime import timedelta

import anyio
import pytest

from governance.config.models import Identity as Settings
from governance.exchange import Principal
from governance.identity.directory import Identity, IdentityStaleError, UnknownKeyError
from governance.identity.keys import Grant, Key, KeyRole, Minted, mint
from tests.conftest import ManualClock

ADMIN = "wka_abcdefghijklmnopqrstuvwxyz0123456789"


class Shelf:
    """A `KeyStore` that only a test writes, and that breaks when told to."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.broken = False
        self.read = anyio.Event()

    async def all(self) -> list[Key]:
        self.read.set()
        self.read = anyio.Event()
        if self.broken:
            raise OSError
        return list(self.keys)

    async def add(self, key: Key, *, actor: str) -> None:
        self.keys.append(key)

    async def revoke(self, key_id: str, *, actor: str, reason: str = "") -> bool:
        raise NotImplementedError

    async def replace(self, key_id: str, successor: Key, *, actor: str) -> bool:
        raise NotImplementedError


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def minted(shelf: Shelf, clock: ManualClock, grant: Grant | None = None) -> Minted:
    made = mint(grant or Grant(), clock.now())
    shelf.keys.append(made.key)
    return made


async def opened(shelf: Shelf, clock: ManualClock, **settings: object) -> Identity:
    identity = Identity(shelf, clock, Settings.model_validate(settings), admin_token=ADMIN)
    await identity.refresh()
    return identity


async def test_a_key_stands_for_its_principal(shelf: Shelf, clock: ManualClock):
    made = minted(shelf, clock, Grant(tenant="t", team="x", agent="a", user="u", models=("gpt-*",), servers=("files",)))
    principal = (await opened(shelf, clock)).principal(made.token)
    assert principal == Principal(made.key.id, "t", "x", "a", "u", ("gpt-*",), ("files",), principal.provenance)
    assert set(principal.provenance.values()) == {"verified"}


@pytest.mark.parametrize(
    "token", ["", "wk_", "wk_" + "x" * 43, "' OR 1=1 --", "\ud800", "x" * 100_000, "\x00", "admin", "local"]
)
async def test_a_token_that_is_not_a_key_refuses_even_where_anonymous_is_allowed(
    shelf: Shelf, clock: ManualClock, token: str
):
    minted(shelf, clock)
    identity = await opened(shelf, clock, anonymous=True)
    with pytest.raises(UnknownKeyError, match="no valid key"):
        identity.principal(token, peer="127.0.0.1")


async def test_a_revoked_key_and_an_expired_key_refuse(shelf: Shelf, clock: ManualClock):
    revoked = minted(shelf, clock)
    shelf.keys[0] = dataclasses.replace(revoked.key, revoked_at=clock.now())
    expiring = minted(shelf, clock, Grant(expires_at=clock.now() + timedelta(seconds=10)))
    identity = await opened(shelf, clock)
    identity.principal(expiring.token)
    clock.advance(10)
    for token in (revoked.token, expiring.token):
        with pytest.raises(UnknownKeyError):
            identity.principal(token)


async def test_no_key_at_all_refuses(shelf: Shelf, clock: ManualClock):
    with pytest.raises(UnknownKeyError, match="no key: send"):
        (await opened(shelf, clock)).principal(None, peer="127.0.0.1")


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "127.8.8.8"])
async def test_anonymous_is_let_in_from_this_machine_where_configured(shelf: Shelf, clock: ManualClock, peer: str):
    principal = (await opened(shelf, clock, anonymous=True)).principal(None, peer=peer)
    assert principal.key_id == "local"
    assert set(principal.provenance.values()) == {"client_asserted"}


@pytest.mark.parametrize("peer", ["10.0.0.1", "", "0.0.0.0", "::ffff:10.0.0.1", "unix"])
async def test_anonymous_is_refused_from_elsewhere(shelf: Shelf, clock: ManualClock, peer: str):
    with pytest.raises(UnknownKeyError):
        (await opened(shelf, clock, anonymous=True)).principal(None, peer=peer)


async def test_each_role_opens_only_its_own_door(shelf: Shelf, clock: ManualClock):
    tokens = {role: minted(shelf, clock, Grant(role)).token for role in KeyRole}
    identity = await opened(shelf, clock)
    identity.principal(tokens[KeyRole.AGENT])
    for role in (KeyRole.APPROVER, KeyRole.ADMIN):
        assert identity.person(tokens[role]).grant.role is role
        with pytest.raises(UnknownKeyError, match="this key is for people"):
            identity.principal(tokens[role])
    with pytest.raises(UnknownKeyError, match="cannot decide"):
        identity.person(tokens[KeyRole.AGENT])


async def test_the_admin_token_is_an_administrator_and_never_an_agent(shelf: Shelf, clock: ManualClock):
    identity = await opened(shelf, clock)
    assert identity.person(ADMIN).grant.role is KeyRole.ADMIN
    with pytest.raises(UnknownKeyError):
        identity.principal(ADMIN)
    assert ADMIN not in repr(identity)


async def test_the_user_header_is_believed_only_where_configured_and_marked_as_asserted(
    shelf: Shelf, clock: ManualClock
):
    made = minted(shelf, clock, Grant(user="owner"))
    assert (await opened(shelf, clock)).principal(made.token, user="eve").user == "owner"
    principal = (await opened(shelf, clock, header_user="x-user")).principal(made.token, user="ann")
    assert (principal.user, principal.provenance["user"], principal.provenance["tenant"]) == (
        "ann",
        "client_asserted",
        "verified",
    )


async def test_a_table_that_cannot_be_read_refuses_everybody_after_the_bound(shelf: Shelf, clock: ManualClock):
    made = minted(shelf, clock)
    identity = await opened(shelf, clock, stale_seconds=60, anonymous=True)
    shelf.broken = True
    with pytest.raises(OSError):  # noqa: PT011 - the store's own error comes through
        await identity.refresh()
    clock.advance(60)
    principal = identity.principal(made.token)
    clock.advance(1)
    with pytest.raises(IdentityStaleError):
        identity.principal(made.token)
    with pytest.raises(IdentityStaleError):
        identity.grant(principal)
    shelf.broken = False
    await identity.refresh()
    identity.principal(made.token)


async def test_nobody_is_believed_before_the_first_read(shelf: Shelf, clock: ManualClock):
    with pytest.raises(IdentityStaleError):
        Identity(shelf, clock, Settings(), ADMIN).principal(ADMIN)


async def test_a_key_made_elsewhere_is_known_by_the_next_refresh_and_a_break_does_not_end_the_watch(
    shelf: Shelf, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("governance.identity.directory.REFRESH_SECONDS", 0)
    identity = await opened(shelf, clock)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(identity.run)
            shelf.broken = True
            for _ in range(3):
                await shelf.read.wait()
            shelf.broken = False
            made = minted(shelf, clock)
            for _ in range(3):
                await shelf.read.wait()
            assert identity.principal(made.token).key_id == made.key.id
            tasks.cancel_scope.cancel()
    assert [record.message for record in caplog.records] == [
        "keys cannot be read (OSError); the last known ones hold for now",
        "keys can be read again",
    ]


async def test_a_grant_is_what_the_key_grants_now(shelf: Shelf, clock: ManualClock):
    made = minted(shelf, clock)
    identity = await opened(shelf, clock, anonymous=True)
    principal = identity.principal(made.token)
    shelf.keys[0] = dataclasses.replace(made.key, grant=Grant(servers=("files",)))
    await identity.refresh()
    assert identity.grant(principal).servers == ("files",)
    assert identity.grant(identity.principal(None, peer="::1")) == Grant()
    shelf.keys.clear()
    await identity.refresh()
    with pytest.raises(UnknownKeyError, match="this key is not known"):
        identity.grant(principal)
