"""Wicket as a client of an identity provider: OpenID Connect by authorization code with PKCE (RFC 9700, RFC 7636).

Network only to the addresses that the configuration names or the provider's own metadata does, by the same bounded
client as for issuers of access tokens. It says whose sign-in came back; what that person may do is `admission.py`, and
what the browser sees is `console/pages/sign_in.py`.
"""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import anyio
import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # pyright: ignore[reportUnknownVariableType]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # pyright: ignore[reportUnknownVariableType]

from governance import jsontree
from governance.clock import Clock
from governance.config.addresses import open_address
from governance.config.authorization import Issuer
from governance.config.oidc import Oidc
from governance.identity import id_token
from governance.identity.client_auth import Prover
from governance.identity.flow import Flow
from governance.identity.id_token import Asked
from governance.identity.keyring import Keyring, client
from governance.identity.metadata import MetadataError, as_document, ask, discover
from governance.identity.refusals import IdentityStaleError, SignInError, TokenError
from governance.jsontree import JsonObject

log = logging.getLogger(__name__)

_ADDRESS: Callable[..., str] = prepare_grant_uri  # pyright: ignore[reportUnknownVariableType]
_CHALLENGE: Callable[[str], str] = create_s256_code_challenge  # pyright: ignore[reportUnknownVariableType]
METADATA_SECONDS = 300.0
"""How long what the provider publishes of itself is believed without a new look."""
RETRY_SECONDS = 5.0
"""How soon a provider that could not be asked is asked again."""
KEYS_SECONDS = 3600.0
LONGEST_CODE = 4096
_AWAY = SignInError("unavailable", "the identity provider cannot be asked now: try again later")


class RelyingParty:
    """What Wicket is to the identity provider.

    Args:
        settings: who the provider is, and who we are to it.
        http: what it is asked with.
        clock: says what is old.
    """

    def __init__(self, settings: Oidc, http: httpx.AsyncClient, clock: Clock) -> None:
        self.settings = settings
        self._http = http
        self._clock = clock
        self._prover = Prover(settings, clock.now)
        issuer = Issuer(issuer=settings.issuer, algorithms=settings.algorithms)
        self._ring = Keyring(issuer, http, clock, KEYS_SECONDS)
        self._metadata: JsonObject = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = anyio.Lock()

    async def address(self, flow: Flow, back: str) -> str:
        """Where the browser goes to sign in; from there it is sent on to `back`.

        Raises:
            SignInError: the provider cannot be asked.
        """
        return _ADDRESS(
            await self._endpoint("authorization_endpoint"),
            client_id=self.settings.client_id,
            response_type="code",
            redirect_uri=back,
            scope=" ".join(self.settings.scopes),
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=_CHALLENGE(flow.verifier),
            code_challenge_method="S256",
        )

    async def claims(self, answer: Mapping[str, str], flow: Flow, back: str) -> JsonObject:
        """Whose sign-in came back, by what the provider answered to the browser.

        Args:
            answer: the query that the browser came back with; its `state` is this flow's, which the caller has checked.
            flow: the sign-in that this browser began.
            back: as it was in `address`.

        Raises:
            SignInError: nobody's, or not one that could be believed.
        """
        await self._refuse_other_issuer(answer)
        if answer.get("error"):
            raise SignInError("denied", "the identity provider did not sign you in")
        code = answer.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise SignInError("code", "the identity provider sent no code")
        given = await self._redeem(code, flow, back)
        token, access = (jsontree.as_text(given.get(name)) for name in ("id_token", "access_token"))
        claims = await self._verified(token, access, flow)
        return {**await self._more(access, claims), **claims}

    async def _refuse_other_issuer(self, answer: Mapping[str, str]) -> None:
        """An answer of another provider must not be taken for this one's (RFC 9207)."""
        promised = (await self._known()).get("authorization_response_iss_parameter_supported") is True
        if ("iss" in answer or promised) and answer.get("iss") != self.settings.issuer:
            raise SignInError("mixed_up", "the answer is of another identity provider")

    async def _redeem(self, code: str, flow: Flow, back: str) -> JsonObject:
        settings, prover = self.settings, self._prover
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": flow.verifier}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if settings.client_auth == "none":
            form["client_id"] = settings.client_id
        else:
            form |= prover.form(settings.issuer)
            headers |= prover.headers()
        url = await self._endpoint("token_endpoint")
        request = self._http.build_request("POST", url, content=urlencode(form).encode(), headers=headers)
        status, body = await self._asked(request)
        given = self._read(body)
        if status != 200:
            told = given.get("error")
            log.warning("the identity provider refused a code: HTTP %d, %s", status, _word(told))
            raise SignInError("code", "the identity provider does not take the code: sign in again")
        return given

    async def _verified(self, token: str, access: str, flow: Flow) -> JsonObject:
        unverified, header = id_token.peek(token, self.settings.issuer)
        try:
            keys = await self._ring.candidates(unverified)
        except IdentityStaleError:
            raise _AWAY from None
        except TokenError:
            raise SignInError("signature", "the ID token is not signed by the identity provider") from None
        asked = Asked(self.settings.issuer, self.settings.client_id, flow.nonce)
        now = self._clock.now().timestamp()
        return id_token.claims_of(token, header, keys, asked, access=access, now=now)

    async def _more(self, access: str, claims: JsonObject) -> JsonObject:
        """What the provider says besides (OpenID Connect Core section 5.3), if it is about the same person."""
        url = jsontree.as_text((await self._known()).get("userinfo_endpoint"))
        if not (self.settings.userinfo and url and access):
            return {}
        url = await self._endpoint("userinfo_endpoint")
        headers = {"authorization": f"Bearer {access}", "accept": "application/json"}
        status, body = await self._asked(self._http.build_request("GET", url, headers=headers))
        told = self._read(body) if status == 200 else {}
        if told.get("sub") != claims["sub"]:
            raise SignInError("userinfo", "the identity provider does not say who you are at its userinfo endpoint")
        # Whether an address was verified is said of the address beside it, and of no other.
        return {name: value for name, value in told.items() if "email" not in claims or name != "email_verified"}

    async def _endpoint(self, name: str) -> str:
        url = jsontree.as_text((await self._known()).get(name))
        if what := open_address(url):
            log.warning("the `%s` of the identity provider's metadata %s", name, what)
            raise _AWAY
        return url

    async def _known(self) -> JsonObject:
        """What the provider publishes of itself.

        Anybody may cause this, so it is asked once for all, and not again at once where that failed.
        """
        async with self._reading:
            now = self._clock.monotonic()
            if self._read_at is not None and now - self._read_at <= METADATA_SECONDS:
                return self._metadata
            if self._tried_at is not None and now - self._tried_at < RETRY_SECONDS:
                raise _AWAY
            self._tried_at = now
            try:
                self._metadata = await discover(self._http, self.settings.issuer)
            except MetadataError as error:
                log.warning("the identity provider %s: %s", self.settings.issuer, error)
                raise _AWAY from None
            self._read_at, self._tried_at = now, None
            return self._metadata

    async def _asked(self, request: httpx.Request) -> tuple[int, bytes]:
        try:
            return await ask(self._http, request)
        except MetadataError as error:
            log.warning("the identity provider %s: %s", self.settings.issuer, error)
            raise _AWAY from None

    def _read(self, body: bytes) -> JsonObject:
        try:
            return as_document(body)
        except MetadataError:
            raise SignInError("answer", "the identity provider's answer cannot be read") from None


def _word(value: object) -> str:
    """An error code of OAuth (RFC 6749 section 5.2), if it is one; nothing else of an answer goes to a log."""
    fits = isinstance(value, str) and value.isascii() and value.replace("_", "").isalpha() and len(value) <= 64
    return str(value) if fits else "no reason given"


@asynccontextmanager
async def open_relying_party(settings: Oidc, clock: Clock) -> AsyncGenerator[RelyingParty]:
    """The client, open."""
    async with client() as http:
        yield RelyingParty(settings, http, clock)
