"""Who may use the console: one-time links, keys, sessions, and the checks that keep other web pages out.

Whoever decides is known from here and never from the body of a request. A session dies with its key, or when its person
is shut out or was given another role. How an identity provider is asked is `sso.py`; what a role may do, `roles.py`.
"""

import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from approvals.quorum import Approver, person_of
from console.attempts import Attempts
from console.people import Person
from console.roles import NEEDS, ForbiddenError, Permission, holds
from console.store import SqlLogins, SqlPeople
from governance.audit.event import AuditError, AuditLog, Draft, Tag, Value
from governance.clock import Clock
from governance.exchange import Principal
from governance.identity.admission import PREFIX
from governance.identity.directory import ADMINISTRATOR, Identity, UnknownKeyError
from governance.identity.keys import EVERY_TENANT, LONGEST_TOKEN, Grant, KeyRole
from governance.identity.refusals import SignInError
from governance.store import Store

log = logging.getLogger(__name__)

LINK_MINUTES = 15
_LINK_PREFIX = "wl_"
_SECURE_COOKIE = "__Host-wicket"
"""Where the browser's connection is secure: no other host, and no plain page, can set or shadow it."""
_PLAIN_COOKIE = "wicket_console"


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who came in."""

    key_id: str
    role: KeyRole
    user: str
    home: str
    """Tenant of the key."""
    team: str = ""
    csrf: str = ""
    """Token of the forms of this session; empty for a bearer, whom no other page can impersonate."""

    @property
    def name(self) -> str:
        """How decisions of this person are signed."""
        if self.key_id == ADMINISTRATOR:
            return ADMINISTRATOR
        return f"{self.user} ({self.key_id})" if self.user else self.key_id

    @property
    def approver(self) -> Approver:
        """This person as one who decides. The installation's own token names nobody in particular."""
        user = "" if self.key_id == ADMINISTRATOR else self.user
        return Approver(self.name, person_of(user, self.key_id), user, self.role.value, self.team)

    @property
    def tenant(self) -> str | None:
        """The tenant whose affairs this person sees; None = all."""
        return None if self.role is KeyRole.ADMIN or self.home == EVERY_TENANT else self.home

    @property
    def admin(self) -> bool:
        """Whether this person may do everything."""
        return self.role is KeyRole.ADMIN

    def may(self, permission: str) -> bool:
        """Whether this person has a permission (`console.roles.Permission`)."""
        return holds(self.role, Permission(permission))

    def opens(self, path: str) -> bool:
        """Whether this person may open a page of the console, by its path."""
        return holds(self.role, NEEDS.get(f"GET {path.removeprefix('/console')}"))

    def sees(self, tenant: str) -> bool:
        """Whether something of `tenant` is this person's affair."""
        return self.tenant is None or self.tenant == tenant


async def mint_login(store: Store, clock: Clock, *, subject: str = ADMINISTRATOR) -> str:
    """A token that opens the console once, within `LINK_MINUTES`, as the holder of the key `subject`.

    Put it behind the `#` of the address of `/console/login`: a fragment is never sent to a server, so it is in no log.
    """
    token = _LINK_PREFIX + secrets.token_urlsafe(32)
    now = clock.now()
    await SqlLogins(store).add(
        _hash(token), kind="link", subject=subject, now=now, expires_at=now + timedelta(minutes=LINK_MINUTES)
    )
    return token


@dataclass(frozen=True)
class Access:
    """The door of the console.

    Args:
        identity: knows keys.
        logins: knows links and sessions.
        people: knows whom the identity provider vouched for.
        clock: says what has ended.
        audit: where it is written down who came in.
        strangers: the same for who did not, up to a rate.
        base_url: address of the console as people reach it; empty = by whatever it is asked for.
        terms: by which settings people are let in now; others' sessions are good no more.
        hours: how long a session lasts.
    """

    identity: Identity
    logins: SqlLogins
    people: SqlPeople
    clock: Clock
    audit: AuditLog
    strangers: AuditLog
    base_url: str = ""
    terms: str = ""
    hours: float = 12
    attempts: Attempts = field(default_factory=Attempts)

    def bearer(self, request: Request) -> Visitor | None:
        """Whoever sent a request by the key in its `Authorization`, and by nothing else.

        Raises:
            IdentityStaleError: as `visitor`.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self._bearer(token.strip()) if scheme.lower() == "bearer" else None

    async def visitor(self, request: Request) -> Visitor | None:
        """Whoever sent a request: by the key in its `Authorization`, else by its session cookie.

        Raises:
            IdentityStaleError: the keys cannot be read, so nobody can be believed.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            return self._bearer(token.strip()) if scheme.lower() == "bearer" else None
        token = _session(request)
        if not token or len(token) > LONGEST_TOKEN:
            return None
        subject = await self.logins.session(_hash(token), self.clock.now())
        if subject is None or not subject.startswith(PREFIX):
            return None if subject is None else self._holder(subject, _csrf(token))
        person = await self.people.get(subject)
        return None if person is None else self._person(person, _csrf(token))

    async def enter(self, request: Request, secret: str) -> str | None:
        """Open a session for a one-time token or a key; returns the session's token, or None for anything else."""
        if not secret or len(secret) > LONGEST_TOKEN:
            return None
        how = "link" if secret.startswith(_LINK_PREFIX) else "key"
        if how == "link":
            subject = await self.logins.redeem(_hash(secret), self.clock.now())
            visitor = None if subject is None else self._holder(subject, "")
        else:
            visitor = self._bearer(secret)
        if visitor is None:
            return None
        await self.audit.append(_draft(Tag.PERSON_SIGNED_IN, visitor, how))
        return await self._open(request, visitor.key_id)

    async def enter_person(self, request: Request, person: Person) -> str:
        """Open a session for whom the identity provider vouches for; returns its token.

        Raises:
            SignInError: they were shut out.
        """
        if not await self.people.came(person):
            raise SignInError("revoked", "an administrator has shut you out")
        return await self._open(request, person.id)

    async def _open(self, request: Request, subject: str) -> str:
        """A new session in place of the one that the browser had: nobody goes on in one that was there before."""
        if _session(request):
            await self.logins.end(_hash(_session(request)))
        now, token = self.clock.now(), secrets.token_urlsafe(32)
        expires_at = now + timedelta(hours=self.hours)
        await self.logins.add(_hash(token), kind="session", subject=subject, now=now, expires_at=expires_at)
        return token

    async def leave(self, request: Request, visitor: Visitor) -> None:
        """End the session of a request."""
        await self.audit.append(_draft(Tag.PERSON_SIGNED_OUT, visitor, ""))
        await self.logins.end(_hash(_session(request)))

    async def refused(self, request: Request, how: str, code: str) -> int:
        """Write down that somebody was not let in; returns how many seconds they have to wait now, 0 where none."""
        peer = request.client.host if request.client else ""
        wait = self.attempts.failed(peer, self.clock.monotonic())
        fields: dict[str, Value] = {"how": how, "code": "crowded" if wait else code, "peer": peer}
        try:
            await self.strangers.append(Draft(Tag.PERSON_REFUSED, fields))
        except AuditError as error:
            log.error("somebody who was not let in is not in the audit log: %s", error)  # noqa: TRY400 - nobody came in
        return wait

    def check_source(self, request: Request) -> None:
        """Refuse a change that was not sent by a page of ours.

        Raises:
            ForbiddenError: `Origin` or `Sec-Fetch-Site` is missing or of another site.
        """
        origin = request.headers.get("origin", "")
        if not origin or origin not in self._origins(request):
            raise ForbiddenError("the request does not come from a page of this console")
        if request.headers.get("sec-fetch-site") != "same-origin":
            raise ForbiddenError("the browser does not say where the request comes from: use https, or localhost")

    def check_form(self, request: Request, visitor: Visitor, token: str) -> None:
        """Refuse a change by cookie that our own page did not make.

        Raises:
            ForbiddenError: as `check_source`, or the token of the form is missing or another session's.
        """
        self.check_source(request)
        if not visitor.csrf or not hmac.compare_digest(_hash(token), _hash(visitor.csrf)):
            raise ForbiddenError("the form has expired: load the page again")

    def _origins(self, request: Request) -> set[str]:
        host = request.headers.get("host", "")
        found = {f"{request.url.scheme}://{host}", f"https://{host}"}
        if self.base_url:
            parts = urlsplit(self.base_url)
            found.add(f"{parts.scheme}://{parts.netloc}")
        return found

    def _bearer(self, token: str) -> Visitor | None:
        try:
            key = self.identity.person(token)
        except UnknownKeyError:
            return None
        return _visitor(key.id, key.grant, "")

    def _holder(self, key_id: str, csrf: str) -> Visitor | None:
        try:
            grant = self.identity.grant(Principal(key_id))
        except UnknownKeyError:
            return None
        return _visitor(key_id, grant, csrf)

    def _person(self, person: Person, csrf: str) -> Visitor | None:
        if person.revoked_at is not None or not self.terms or person.terms != self.terms:
            return None
        return Visitor(person.id, person.role, person.user, person.tenant, person.team, csrf)

    def set_cookie(self, response: Response, token: str, *, secure: bool) -> None:
        """Give a browser its session; an empty token takes it away.

        Strict, not lax: on a link from elsewhere it stays back, and the landing page goes on from here with it.
        """
        response.set_cookie(
            _SECURE_COOKIE if secure else _PLAIN_COOKIE,
            token,
            max_age=round(self.hours * 3600) if token else 0,
            path="/" if secure else "/console",
            secure=secure,
            httponly=True,
            samesite="strict",
        )


def is_secure(request: Request) -> bool:
    """Whether the browser's own connection is secure, which ours is not behind a proxy that ends TLS.

    Ask only after `Access.check_source`: it goes by the origin.
    """
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def _draft(tag: Tag, visitor: Visitor, how: str) -> Draft:
    fields: dict[str, Value] = {
        "key_id": visitor.key_id,
        "tenant_id": visitor.home,
        "role": visitor.role.value,
        "user": visitor.user,
        "how": how,
        "actor": visitor.name,
    }
    return Draft(tag, {name: value for name, value in fields.items() if value})


def _visitor(key_id: str, grant: Grant, csrf: str) -> Visitor | None:
    """The person behind a key: no agent, and no approver without a tenant, whose limits nobody could tell."""
    if grant.role is KeyRole.AGENT or not (grant.tenant or grant.role is KeyRole.ADMIN):
        return None
    return Visitor(key_id, grant.role, grant.user, grant.tenant, grant.team, csrf)


def _session(request: Request) -> str:
    return request.cookies.get(_SECURE_COOKIE) or request.cookies.get(_PLAIN_COOKIE, "")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _csrf(token: str) -> str:
    return hashlib.sha256(f"csrf\0{token}".encode()).hexdigest()
