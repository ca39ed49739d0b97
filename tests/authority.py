"""An authorization server for tests, over real HTTP on this machine. Its keys are made when it starts.

It does what the specifications say and remembers what it was asked; tests bend it by its fields.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route


@dataclass
class SigningKey:
    """A key and how it is published."""

    kid: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        made = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return {**made, "kid": self.kid, "use": "sig", "alg": self.algorithm, "key_ops": ["verify"]}


def new_key(kid: str, algorithm: str = "ES256") -> SigningKey:
    private = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    return SigningKey(kid, algorithm, private)


@dataclass
class Authority:
    """The server. `url` is its issuer identifier, set once it is served."""

    url: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [new_key("first")])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    """Members that are put over the usual metadata; `None` takes one out."""
    is_down: bool = False
    asked: list[str] = field(default_factory=list[str])
    """Paths, in order."""
    forms: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """What the token endpoint was sent, with the client's authentication as `auth`."""
    opaque: dict[str, Any] = field(default_factory=dict[str, Any])
    """What is said of tokens that only this server can read, besides that they are active."""
    questions: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """What the introspection endpoint was sent, with the client's authentication as `auth`."""
    authorized: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """What the authorization endpoint was sent."""
    registered: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    breaks: bool = False
    """Whether the token endpoint fails."""
    garbles: bool = False
    """Whether the token endpoint refuses with bytes that are no text."""
    refusal: str = ""
    """OAuth error that the token endpoint answers with."""
    answer: dict[str, Any] = field(default_factory=dict[str, Any])
    """Members that are put over a usual answer of the token endpoint."""
    lifetime: int = 3600
    scope: str = ""
    rotates: bool = True
    """Whether each refresh token is good once."""
    iss: str | None = None
    """What the redirect says in `iss`; `None` = the truth."""
    mint: Callable[[dict[str, str]], str] | None = None
    """Makes the access token from what was asked for; a random text without it."""
    issued: list[str] = field(default_factory=list[str])
    refresh_tokens: set[str] = field(default_factory=set[str])
    _codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def token(self, at: datetime, key: SigningKey | None = None, /, **claims: Any) -> str:
        """A token of this issuer, made at `at`; what is `None` is left out. `head` changes its header."""
        now = int(at.timestamp())
        head: dict[str, Any] = claims.pop("head", {})
        said = {"iss": self.url, "sub": "ann", "client_id": "agent-7", "iat": now, "exp": now + 600, **claims}
        signer = key or self.keys[0]
        headers = {"kid": signer.kid, "typ": "at+jwt", **head}
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            signer.private,
            algorithm=signer.algorithm,
            headers={name: value for name, value in headers.items() if value is not None},
        )

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", self._describe),
                Route("/jwks", self._publish),
                Route("/register", self._register, methods=["POST"]),
                Route("/authorize", self._authorize),
                Route("/token", self._issue, methods=["POST"]),
                Route("/introspect", self._tell, methods=["POST"]),
            ]
        )

    def _note(self, request: Request) -> None:
        self.asked.append(request.url.path)

    async def _describe(self, request: Request) -> Response:
        self._note(request)
        if self.is_down:
            return Response(status_code=503)
        usual = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "introspection_endpoint": f"{self.url}/introspect",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        }
        return JSONResponse({name: value for name, value in {**usual, **self.metadata}.items() if value is not None})

    async def _publish(self, request: Request) -> Response:
        self._note(request)
        return Response(status_code=503) if self.is_down else JSONResponse({"keys": [key.jwk for key in self.keys]})

    async def _register(self, request: Request) -> Response:
        self._note(request)
        asked = await request.json()
        self.registered.append(asked)
        return JSONResponse({**asked, "client_id": f"dyn-{len(self.registered)}"}, status_code=201)

    async def _authorize(self, request: Request) -> Response:
        """Sends the person straight back: this one always agrees."""
        self._note(request)
        asked = dict(request.query_params)
        self.authorized.append(asked)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.url if self.iss is None else self.iss}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", status_code=302)

    async def _issue(self, request: Request) -> Response:
        self._note(request)
        form = await _form(request)
        self.forms.append(form)
        if self.breaks:
            return Response(status_code=503)
        if self.garbles:
            return Response(b"\xff\xfe", status_code=400)
        if self.refusal:
            return JSONResponse({"error": self.refusal}, status_code=400)
        grant, answer = form.get("grant_type", ""), dict[str, Any]()
        if grant == "authorization_code":
            asked = self._codes.pop(form.get("code", ""), None)
            proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if asked is None or base64.urlsafe_b64encode(proof).decode().rstrip("=") != asked["code_challenge"]:
                return JSONResponse({"error": "invalid_grant"}, status_code=400)
            answer = self._with_refresh()
        elif grant == "refresh_token":
            if form.get("refresh_token") not in self.refresh_tokens:
                return JSONResponse({"error": "invalid_grant"}, status_code=400)
            if self.rotates:
                self.refresh_tokens.discard(form["refresh_token"])
                answer = self._with_refresh()
        elif "token-exchange" in grant:
            answer = {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
        token = self.mint(form) if self.mint else f"up-{secrets.token_urlsafe(12)}"
        self.issued.append(token)
        scope = {"scope": self.scope} if self.scope else {}
        return JSONResponse(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": self.lifetime,
                **scope,
                **answer,
                **self.answer,
            }
        )

    async def _tell(self, request: Request) -> Response:
        """What is known of a token (RFC 7662)."""
        self._note(request)
        form = await _form(request)
        self.questions.append(form)
        if self.is_down:
            return Response(status_code=503)
        said = self.opaque.get(form.get("token", ""), {"active": False})
        return JSONResponse({"active": True, **said} if isinstance(said, dict) else said)

    def _with_refresh(self) -> dict[str, Any]:
        refresh = f"re-{secrets.token_urlsafe(12)}"
        self.refresh_tokens.add(refresh)
        return {"refresh_token": refresh}


async def _form(request: Request) -> dict[str, str]:
    """The form of a request, with the client's authentication as `auth`."""
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    return {**form, "auth": base64.b64decode(sent).decode() if scheme == "Basic" else ""}


def forged(token: str, **claims: Any) -> str:
    """`token` with other claims under the same signature."""
    head, body, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return ".".join((head, part({**said, **claims}), signature))


def part(value: dict[str, Any]) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
