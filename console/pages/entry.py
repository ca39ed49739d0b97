"""Coming in and going out."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from console.access import set_cookie
from console.frame import Frame, Visit, read_form
from console.roles import ForbiddenError
from governance.identity.directory import IdentityStaleError
from pipeline.border import BadRequestError

HOME = "/console/"


async def login(frame: Frame, request: Request) -> Response:
    """The sign-in page; a POST opens a session for a one-time token or a key."""
    target = _inside(request.query_params.get("next", HOME))
    if request.method == "GET":
        return _form(frame, target, "", 200)
    try:
        frame.access.check_source(request)
        form = await read_form(request)
        token = await frame.access.enter(form.get("secret", "").strip())
    except ForbiddenError as error:
        return frame.notice("not allowed", str(error), 403)
    except BadRequestError as error:
        return frame.notice("not understood", error.message, error.status)
    except IdentityStaleError as error:
        return frame.notice("not available", str(error), 503)
    if token is None:
        said = "that key or link is not valid: a link works once, and only for a quarter of an hour"
        return _form(frame, target, said, 401)
    answer = RedirectResponse(_inside(form.get("next", HOME)), 303)
    set_cookie(answer, request, token)
    return answer


async def logout(frame: Frame, visit: Visit) -> Response:
    """End the session."""
    await frame.access.leave(visit.request)
    answer = RedirectResponse("/console/login", 303)
    set_cookie(answer, visit.request, "")
    return answer


def _form(frame: Frame, target: str, said: str, status: int) -> HTMLResponse:
    return HTMLResponse(frame.drawings.get_template("login.html").render(target=target, said=said), status)


def _inside(path: str) -> str:
    """`path` if it is a page of the console, else its home: a link must not lead elsewhere after signing in."""
    plain = path.startswith("/console/") and not set(path) & set("\\\r\n\t") and "//" not in path
    return path if plain else HOME
