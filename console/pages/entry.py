"""Coming in and going out."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console.access import is_secure
from console.frame import Frame, Visit, read_form
from console.roles import ForbiddenError
from governance.audit.event import AuditError
from governance.identity.directory import IdentityStaleError
from governance.store import StoreError
from pipeline.border import BadRequestError

HOME = "/console/"


async def login(frame: Frame, request: Request) -> Response:
    """The sign-in page; a POST opens a session for a one-time token or a key."""
    target = inside(request.query_params.get("next", HOME))
    if request.method == "GET":
        return form(frame, target, "", 200)
    try:
        frame.access.check_source(request)
        given = await read_form(request)
        token = await frame.access.enter(request, given.get("secret", "").strip())
    except ForbiddenError as error:
        return frame.notice("not allowed", str(error), 403)
    except BadRequestError as error:
        return frame.notice("not understood", error.message, error.status)
    except IdentityStaleError as error:
        return frame.notice("not available", str(error), 503)
    except (AuditError, StoreError):
        return unwritten(frame)
    if token is None:
        wait = await frame.access.refused(request, "key", "unknown")
        said = "that key or link is not valid: a link works once, and only for a quarter of an hour"
        return form(frame, target, said, 429 if wait else 401, wait=wait)
    answer = RedirectResponse(inside(given.get("next", HOME)), 303)
    frame.access.set_cookie(answer, token, secure=is_secure(request))
    return answer


async def logout(frame: Frame, visit: Visit) -> Response:
    """End the session."""
    await frame.access.leave(visit.request, visit.visitor)
    answer = RedirectResponse("/console/login", 303)
    frame.access.set_cookie(answer, "", secure=is_secure(visit.request))
    return answer


def form(frame: Frame, target: str, said: str, status: int, *, wait: int = 0) -> HTMLResponse:
    """The sign-in page; `wait` is how many seconds somebody who failed too often has to wait."""
    page = frame.drawings.get_template("login.html")
    sso = frame.sso.name if frame.sso else ""
    text = f"{said} (too many failed: wait {wait} s)" if wait else said
    headers = {"retry-after": str(wait)} if wait else None
    return HTMLResponse(page.render(target=target, said=text, sso=sso), status, headers)


def unwritten(frame: Frame) -> HTMLResponse:
    """Nobody comes in of whom that cannot be written down."""
    return frame.notice("not available", "the records cannot be read or written: try again later", 503)


def inside(path: str) -> str:
    """`path` if it is a page of the console, else its home: a link must not lead elsewhere after signing in."""
    plain = path.startswith("/console/") and not set(path) & set("\\\r\n\t") and "//" not in path
    return path if plain else HOME
