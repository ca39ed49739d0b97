"""A credential for each caller: the caller's own verified token, exchanged for one of the server (RFC 8693).

The caller's token goes to the authorization server that the configuration names, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import httpx

from governance import jsontree
from governance.clock import Clock
from governance.config.addresses import open_address
from governance.config.models import McpServer
from governance.exchange import Principal
from governance.identity.client_auth import Prover
from governance.identity.metadata import MetadataError, as_document, discover
from governance.identity.refusals import IdentityStaleError, UnknownKeyError
from governance.identity.tokens import reach
from governance.jsontree import Json, JsonObject
from mcp_proxy.credentials import authority
from mcp_proxy.credentials.challenge import wanted_scope
from mcp_proxy.credentials.credential import CredentialError, Refusal, SignInError
from mcp_proxy.credentials.grant import Grant, times

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a kind of token
MOST = 10_000
"""Callers whose tokens are remembered; beyond it the oldest are forgotten."""
_TAKEN = frozenset({ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"})
_FORM = "application/x-www-form-urlencoded"


class Subjects(Protocol):
    """The callers' verified tokens (`governance.identity.tokens.Tokens`)."""

    def subject_token(self, principal: Principal) -> str:
        """The token that a principal came with."""
        ...


@dataclass
class _Seat:
    """One caller."""

    grant: Grant | None = None
    exchanging: anyio.Lock = field(default_factory=anyio.Lock)


class Exchanged:
    """Credentials by token exchange.

    Args:
        name: name of the server.
        entry: its settings.
        subjects: the callers' tokens; none, if nobody may come with one.
        http: what the authorization server is asked with.
        clock: says what is due.
    """

    def __init__(
        self, name: str, entry: McpServer, subjects: Subjects | None, http: httpx.AsyncClient, clock: Clock
    ) -> None:
        self._name = name
        self._entry = entry
        self._subjects = subjects
        self._http = http
        self._clock = clock
        self._seats: dict[str, _Seat] = {}
        self._endpoint = ""
        self._prover = Prover(entry.auth, clock.now)

    async def headers(self, principal: Principal) -> Mapping[str, str]:
        """The caller's token for the server.

        Raises:
            CredentialError: the caller came without an access token, or it is not exchanged.
            SignInError: it cannot be exchanged now.
        """
        seat = self._seat(principal)
        if seat.grant is None or seat.grant.is_due(self._clock.now()):
            async with seat.exchanging:
                if seat.grant is None or seat.grant.is_due(self._clock.now()):
                    seat.grant = None
                    seat.grant = await self._exchange(principal)
        return {"authorization": f"Bearer {seat.grant.access_token}"}

    async def renewed(self, principal: Principal, shown: Mapping[str, str], refusal: Refusal) -> bool:
        """Exchange again for a token that the server did not take, once.

        Raises:
            CredentialError: it must have more scope.
        """
        if scope := wanted_scope(refusal):
            raise CredentialError(
                f"server `{self._name}` wants the scope `{scope}` for this: add it to `auth.scopes` of the server"
            )
        if refusal.status != 401:
            return False
        seat = self._seat(principal)
        if seat.grant is not None and shown.get("authorization") == f"Bearer {seat.grant.access_token}":
            seat.grant = None
        return True

    def _seat(self, principal: Principal) -> _Seat:
        whose = reach(principal)
        seat = self._seats.get(whose)
        if seat is None:
            seat = self._seats[whose] = _Seat()
            while len(self._seats) > MOST:
                del self._seats[next(iter(self._seats))]
        return seat

    async def _exchange(self, principal: Principal) -> Grant:
        subject = self._subject(principal)
        request = self._request(await self._token_endpoint(), subject)
        status, body = await authority.send(self._http, self._name, request)
        if status >= 500:
            raise SignInError(f"the authorization server of `{self._name}` fails (HTTP {status}): try again later")
        if status != 200:
            raise CredentialError(f"the authorization server of `{self._name}` does not exchange this caller's token")
        try:
            token = as_document(body)
        except MetadataError:
            raise SignInError(f"the authorization server of `{self._name}` did not answer with a token") from None
        self._refuse_unfit(token, subject)
        ends_at, renew_at = times(token, self._clock.now())
        return Grant(self._entry.url, token, {}, {}, {}, ends_at, renew_at)

    def _refuse_unfit(self, token: Mapping[str, Json], subject: str) -> None:
        given = jsontree.as_text(token.get("access_token"))
        fits = (
            jsontree.as_text(token.get("token_type")).lower() == "bearer" and token.get("issued_token_type") in _TAKEN
        )
        if not given or not fits or not given.isascii() or not given.isprintable():
            raise CredentialError(f"the authorization server of `{self._name}` did not answer with a bearer token")
        if given == subject:
            # It would be the client's own token that goes upstream.
            raise CredentialError(f"the authorization server of `{self._name}` gave the caller's own token back")

    def _subject(self, principal: Principal) -> str:
        problem = CredentialError(
            f"server `{self._name}` is for callers who come with an access token, not with a gateway key"
        )
        if self._subjects is None:
            raise problem
        try:
            return self._subjects.subject_token(principal)
        except UnknownKeyError:
            raise problem from None
        except IdentityStaleError as error:
            raise SignInError(str(error)) from None

    async def _token_endpoint(self) -> str:
        if not self._endpoint:
            try:
                metadata: JsonObject = await discover(self._http, self._entry.auth.issuer)
            except (MetadataError, authority.BlockedError) as error:
                raise SignInError(f"the authorization server of `{self._name}` cannot be asked: {error}") from None
            endpoint = jsontree.as_text(metadata.get("token_endpoint"))
            if what := open_address(endpoint):
                raise SignInError(
                    f"the authorization server of `{self._name}` has a token endpoint whose address {what}"
                )
            self._endpoint = endpoint
        return self._endpoint

    def _request(self, endpoint: str, subject: str) -> httpx.Request:
        auth = self._entry.auth
        form = {
            "grant_type": GRANT_TYPE,
            "subject_token": subject,
            "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": ACCESS_TOKEN,
            "resource": self._entry.url,
            **self._prover.form(auth.issuer),
        }
        if auth.audience:
            form["audience"] = auth.audience
        if auth.scopes:
            form["scope"] = " ".join(auth.scopes)
        headers = {"content-type": _FORM, "accept": "application/json", **self._prover.headers()}
        try:
            return self._http.build_request("POST", endpoint, data=form, headers=headers)
        except httpx.InvalidURL:
            raise SignInError(f"the authorization server of `{self._name}` names no usable token endpoint") from None
