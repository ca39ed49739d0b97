"""The table of what upstream servers granted us. Only this file of the room speaks SQL.

What is in it can be read with the master key only; a copy of the database gives nobody access to an upstream.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, delete, or_, select, update

from governance.audit.event import AuditLog, Draft, Tag
from governance.audit.keys import derive
from governance.clock import Clock, rfc3339
from governance.seal import Seal, SealError
from governance.store import Store
from governance.store.tables import GrantRow

PURPOSE = "vault.aead.1"
"""Purpose of the key that kept secrets are sealed with."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret as it was kept at one moment."""

    secret: bytes = field(repr=False)
    version: str = field(repr=False)
    """Tells it from whatever was kept before and after."""


class _GoneError(Exception):
    """There is nothing to forget: nothing is written."""


class SqlVault:
    """What upstream servers granted, by the name of the server."""

    def __init__(self, store: Store, audit: AuditLog, clock: Clock, master: bytes) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._seal = Seal(derive(master, PURPOSE))

    async def load(self, server: str) -> Kept | None:
        """What is kept for a server, or `None`.

        Raises:
            SealError: it was sealed by another master key.
            StoreError: the database cannot be read.
        """
        query = select(GrantRow.sealed).where(GrantRow.server == server)
        sealed = await self._store.read(lambda session: session.exec(query).first())
        if sealed is None:
            return None
        try:
            return Kept(self._seal.open(sealed, server), sealed)
        except SealError:
            raise SealError("a kept secret does not open with this master key: put the right key back") from None

    async def sign_in(self, server: str, secret: bytes, *, actor: str) -> None:
        """Keep what a person was granted, with its audit event in the same transaction."""
        draft = Draft(Tag.SERVER_SIGNED_IN, {"server": server, "actor": actor})
        await self._audit.append(draft, within=lambda session: self._put(session, server, secret))

    async def renew(self, server: str, secret: bytes, *, after: str) -> bool:
        """Keep the successor of the version `after`, and end the claim; false if something else is kept by now."""
        change = (
            update(GrantRow)
            .where(col(GrantRow.server) == server, col(GrantRow.sealed) == after)
            .values(sealed=self._seal.close(secret, server), updated_at=rfc3339(self._clock.now()), claimed_until="")
        )
        return await self._store.write(lambda session: session.exec(change).rowcount == 1)

    async def claim(self, server: str, until: datetime, *, after: str) -> str:
        """Take the renewal of the version `after` for this process alone, until it is renewed or `until`.

        Returns what `release` wants to see; nothing if it is taken, or something else is kept by now: a refresh token
        that another process used up must not be used again. It begins with the time, by which it ends.
        """
        claim = f"{rfc3339(until)} {secrets.token_hex(8)}"
        change = (
            update(GrantRow)
            .where(
                col(GrantRow.server) == server,
                col(GrantRow.sealed) == after,
                or_(col(GrantRow.claimed_until) == "", col(GrantRow.claimed_until) < rfc3339(self._clock.now())),
            )
            .values(claimed_until=claim)
        )
        return claim if await self._store.write(lambda session: session.exec(change).rowcount == 1) else ""

    async def release(self, server: str, claim: str) -> None:
        """End a claim that came to nothing. One that ran out may be another process's by now: that one stays."""
        mine = (col(GrantRow.server) == server, col(GrantRow.claimed_until) == claim)
        change = update(GrantRow).where(*mine).values(claimed_until="")
        await self._store.write(lambda session: session.exec(change).rowcount)

    async def forget(self, server: str, *, actor: str) -> bool:
        """Forget what is kept for a server, with its audit event; false if there is nothing."""

        def remove(session: Session) -> None:
            if session.exec(delete(GrantRow).where(col(GrantRow.server) == server)).rowcount != 1:
                raise _GoneError

        try:
            await self._audit.append(Draft(Tag.SERVER_SIGNED_OUT, {"server": server, "actor": actor}), within=remove)
        except _GoneError:
            return False
        return True

    def _put(self, session: Session, server: str, secret: bytes) -> None:
        sealed, now = self._seal.close(secret, server), rfc3339(self._clock.now())
        session.merge(GrantRow(server=server, sealed=sealed, updated_at=now, claimed_until=""))
