"""A credential that is one grant for everybody: of a person who signed in, or of Wicket itself.

It is renewed before it ends, by one request at a time, and by one process at a time where it is kept.
"""

import contextlib
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

import anyio

from governance.clock import Clock
from governance.exchange import Principal
from governance.seal import SealError
from governance.store import StoreError
from governance.vault.store import Kept
from mcp_proxy.credentials.challenge import wanted_scope
from mcp_proxy.credentials.credential import CredentialError, Refusal, SignInError
from mcp_proxy.credentials.grant import Grant, read_grant

log = logging.getLogger(__name__)

CLAIM_SECONDS = 60.0
"""How long one process has a renewal for itself. Longer than a renewal may take."""
_LOOK_SECONDS = 0.1
_LOOKS = 200
AGAIN_SECONDS = 5.0
"""How soon a renewal that failed is tried again."""


class Vault(Protocol):
    """Where grants are kept (`governance.vault.store.SqlVault`)."""

    async def load(self, server: str) -> Kept | None:
        """What is kept for a server."""
        ...

    async def renew(self, server: str, secret: bytes, *, after: str) -> bool:
        """Keep the successor of the version `after`."""
        ...

    async def claim(self, server: str, until: datetime, *, after: str) -> str:
        """Take the renewal of the version `after` for this process alone; nothing if it is taken, or renewed."""
        ...

    async def release(self, server: str, claim: str) -> None:
        """End a claim of this process that came to nothing."""
        ...


class Source(Protocol):
    """Where grants come from."""

    async def current(self) -> Grant | None:
        """The grant that is kept, if any is."""
        ...

    async def successor(self, old: Grant | None) -> Grant:
        """A newer grant than `old`.

        Raises:
            CredentialError: there will be none unless somebody does something; says what.
            SignInError: there is none now.
        """
        ...


class Granted:
    """A credential by one grant.

    Args:
        name: name of the server.
        source: where its grants come from.
        clock: says what is due.
    """

    def __init__(self, name: str, source: Source, clock: Clock) -> None:
        self._name = name
        self._source = source
        self._clock = clock
        self._grant: Grant | None = None
        self._renewing = anyio.Lock()
        self._not_before = 0.0
        self._tried = ""
        self._problem: CredentialError | SignInError | None = None

    async def headers(self, principal: Principal) -> Mapping[str, str]:
        """The grant, renewed if it is time to.

        Raises:
            CredentialError, SignInError: there is none.
        """
        now = self._clock.now()
        if self._grant is None or self._grant.is_due(now):
            await self._renew(self._grant, forced=False)
        assert self._grant is not None  # noqa: S101 - `_renew` leaves a grant, or raises
        return {"authorization": f"Bearer {self._grant.access_token}"}

    async def renewed(self, principal: Principal, shown: Mapping[str, str], refusal: Refusal) -> bool:
        """Renew a grant that the server did not take, once.

        Raises:
            CredentialError: it must have more scope, or cannot be renewed.
            SignInError: it cannot be renewed now.
        """
        if scope := wanted_scope(refusal):
            raise CredentialError(
                f"server `{self._name}` wants the scope `{scope}` for this: add it to `auth.scopes` of the server "
                f"and sign in again"
            )
        if refusal.status != 401:
            return False
        grant = self._grant
        if grant is not None and shown.get("authorization") == f"Bearer {grant.access_token}":
            await self._renew(grant, forced=True)
        return True

    async def _renew(self, seen: Grant | None, *, forced: bool) -> None:
        # A client that leaves must not cut this short: a refresh token that was sent may be used up.
        with anyio.CancelScope(shield=True):
            async with self._renewing:
                if self._grant is not None and self._grant is not seen:
                    return
                now = self._clock.now()
                # What the server refused meanwhile is not good, however long it would last.
                still_good = seen is not None and seen is self._grant and not forced and not seen.has_ended(now)
                if still_good and self._clock.monotonic() < self._not_before:
                    return
                try:
                    self._grant = await self._fresh(seen)
                except (CredentialError, SignInError) as error:
                    if error is not self._problem:
                        self._problem, self._not_before = error, self._clock.monotonic() + AGAIN_SECONDS
                    if not still_good:
                        self._grant = None
                        raise
                    log.warning("server %s: %s; the old sign-in still holds", self._name, error)

    async def _fresh(self, seen: Grant | None) -> Grant:
        """What is kept, if that is newer than `seen` and not due; else the next one.

        What failed is not tried again at once, or every call would ask the authority; a new sign-in counts at once.
        """
        kept = await self._source.current()
        token = kept.access_token if kept is not None else ""
        if self._problem is not None and token == self._tried and self._clock.monotonic() < self._not_before:
            raise self._problem.with_traceback(None)
        self._problem, self._tried = None, token
        is_newer = kept is not None and (seen is None or kept.access_token != seen.access_token)
        if kept is not None and is_newer and not kept.is_due(self._clock.now()):
            return kept
        return await self._source.successor(kept or seen)


class Refresher(Protocol):
    """Renews a grant by its refresh token (`sdk.Client`)."""

    async def renew(self, old: Grant) -> Grant:
        """The successor of a grant."""
        ...


class Obtainer(Protocol):
    """Gets a grant without a person (`sdk.Client`)."""

    async def obtain(self) -> Grant:
        """A new grant."""
        ...


class OfPerson:
    """The grant of a person who signed in by `wicket servers login`: kept in the vault, renewed by whoever needs it.

    Args:
        name: name of the server.
        url: its address.
        vault: where it is kept.
        client: renews it.
        clock: the only source of time.
    """

    def __init__(self, name: str, url: str, vault: Vault, client: Refresher, clock: Clock) -> None:
        self._name = name
        self._url = url
        self._vault = vault
        self._client = client
        self._clock = clock
        self._unkept: tuple[Grant, str] | None = None
        """A grant that was got and could not be written, with the version it succeeds: the one before is used up."""

    async def current(self) -> Grant | None:
        """What is kept."""
        found = await self._load()
        return found and found[0]

    async def successor(self, old: Grant | None) -> Grant:
        """Renew it, alone among all processes; whoever comes second takes what the first one got."""
        for _ in range(_LOOKS):
            found = await self._load()
            if found is None:
                raise self._nobody()
            grant, version = found
            if old is not None and grant.access_token != old.access_token and not grant.is_due(self._clock.now()):
                return grant
            if not grant.can_be_renewed:
                raise self._nobody()
            if claim := await self._claimed(version):
                return await self._renew(grant, version, claim)
            await anyio.sleep(_LOOK_SECONDS)
        raise SignInError(f"the sign-in at `{self._name}` is being renewed by another process: try again")

    async def _renew(self, grant: Grant, version: str, claim: str) -> Grant:
        try:
            renewed = await self._client.renew(grant)
        except BaseException:
            with anyio.CancelScope(shield=True), contextlib.suppress(StoreError):  # then it ends by itself
                await self._vault.release(self._name, claim)
            raise
        self._unkept = renewed, version
        found = await self._load()
        if found is None:
            raise self._nobody()
        return found[0]

    async def _keep(self, grant: Grant, version: str) -> None:
        """Write what could not be written yet. Until then it is not used: a restart would lose it."""
        try:
            if not await self._vault.renew(self._name, grant.as_bytes(), after=version):
                log.warning("server %s: another sign-in was kept before the renewed one", self._name)
        except StoreError as error:
            log.error(  # noqa: TRY400 - the operator needs to know why, not where
                "server %s: the renewed sign-in is in memory only, because it could not be written: %s; mend the "
                "database before you stop this process, or a person must sign in again",
                self._name,
                error,
            )
            raise SignInError(f"the renewed sign-in at `{self._name}` could not be kept: try again") from None
        self._unkept = None

    async def _claimed(self, version: str) -> str:
        until = self._clock.now() + timedelta(seconds=CLAIM_SECONDS)
        try:
            return await self._vault.claim(self._name, until, after=version)
        except StoreError:
            raise SignInError("kept sign-ins cannot be read: try again later") from None

    async def _load(self) -> tuple[Grant, str] | None:
        if self._unkept is not None:
            await self._keep(*self._unkept)
        try:
            kept = await self._vault.load(self._name)
        except StoreError:
            raise SignInError("kept sign-ins cannot be read: try again later") from None
        except SealError as error:
            raise CredentialError(f"the sign-in at `{self._name}` cannot be used: {error}") from None
        return None if kept is None else (read_grant(kept.secret, self._url), kept.version)

    def _nobody(self) -> CredentialError:
        return CredentialError(
            f"server `{self._name}` needs a person to sign in: run `wicket servers login {self._name}`"
        )


class OfOurselves:
    """The grant of Wicket itself (`client_credentials`). It is not kept: another is got by the client's secret.

    Args:
        client: gets it.
    """

    def __init__(self, client: Obtainer) -> None:
        self._client = client

    async def current(self) -> Grant | None:
        """None is kept."""
        return None

    async def successor(self, old: Grant | None) -> Grant:
        """Another one."""
        return await self._client.obtain()
