"""Signing in by the identity provider: the way there, and the way back."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.frame import Frame
from console.pages.entry import HOME, form, inside, unwritten
from console.sso import CALLBACK, MINUTES
from governance.audit.event import AuditError
from governance.identity.refusals import SignInError
from governance.store import StoreError

_SECURE_COOKIE = "__Host-wicket-sign-in"
_PLAIN_COOKIE = "wicket_sign_in"


async def start(frame: Frame, request: Request) -> Response:
    """Send the browser to the provider. Nothing is written: what must be known when it comes back, it keeps itself."""
    target = inside(request.query_params.get("next", HOME))
    if frame.sso is None:
        return frame.notice("no such page", "signing in by an identity provider is not configured", 404)
    try:
        url, kept = await frame.sso.begin(target)
    except SignInError as error:
        return form(frame, target, str(error), 503)
    answer = RedirectResponse(url, 303)
    _keep(answer, kept, secure=frame.sso.secure)
    return answer


async def back(frame: Frame, request: Request) -> Response:
    """Open a session for whoever the provider says has signed in.

    The page that answers goes on from here by itself: the browser would keep the strict cookie of the session back on
    what is still the provider's redirect.
    """
    if frame.sso is None:
        return frame.notice("no such page", "signing in by an identity provider is not configured", 404)
    # One value a name: a second one is another reading of the same answer.
    pairs = request.query_params.multi_items()
    answer = dict(pairs) if len({name for name, _ in pairs}) == len(pairs) else {}
    kept = request.cookies.get(_SECURE_COOKIE if frame.sso.secure else _PLAIN_COOKIE, "")
    try:
        person, target = await frame.sso.finish(kept, answer)
        token = await frame.access.enter_person(request, person)
    except SignInError as error:
        wait = await frame.access.refused(request, "oidc", error.code)
        status = 503 if error.code == "unavailable" else 429 if wait else 401
        refused = form(frame, HOME, f"you are not signed in: {error}", status, wait=wait)
        _keep(refused, "", secure=frame.sso.secure)
        return refused
    except (AuditError, StoreError):
        return unwritten(frame)
    page = frame.drawings.get_template("landing.html").render(path=inside(target), onward=inside(target))
    response = Response(page, media_type="text/html")
    _keep(response, "", secure=frame.sso.secure)
    frame.access.set_cookie(response, token, secure=frame.sso.secure)
    return response


def _keep(response: Response, kept: str, *, secure: bool) -> None:
    """Let the browser keep a sign-in that is under way; an empty one takes it away.

    Lax, because it must come along when the provider sends the browser back.
    """
    response.set_cookie(
        _SECURE_COOKIE if secure else _PLAIN_COOKIE,
        kept,
        max_age=MINUTES * 60 if kept else 0,
        path="/" if secure else CALLBACK,
        secure=secure,
        httponly=True,
        samesite="lax",
    )
