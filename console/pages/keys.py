"""Gateway keys: whose they are, what they may use, when they were used last; and revoking one. None is made here."""

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from approvals.desk import plain
from console.frame import Frame, Visit
from console.store import last_used
from governance.identity.keys import Key
from pipeline.border import BadRequestError

MOST = 500
"""Keys that the page shows; programs read on by `/api/v1/keys`."""


@dataclass(frozen=True, slots=True)
class Row:
    """A key as the page shows it."""

    key: Key
    state: str
    used: str
    """When a run of it was last seen; empty = never."""


async def index(frame: Frame, visit: Visit) -> Response:
    """The list: valid keys first, the newest first."""
    return await _draw(frame, visit, "", 200)


async def revoke(frame: Frame, visit: Visit) -> Response:
    """Revoke the key that the path names; whoever does so says why."""
    key_id, reason = visit.request.path_params["key"], plain(visit.form.get("reason", ""))
    if not reason.strip():
        raise BadRequestError(400, "reason", "say why: the audit log keeps it")
    changed = await frame.core.keys.revoke(key_id, actor=visit.visitor.name, reason=reason)
    await frame.core.identity.refresh()
    if not changed:
        return await _draw(frame, visit, "nothing was changed: there is no such key, or it was revoked before", 409)
    return RedirectResponse("/console/keys", 303)


async def _draw(frame: Frame, visit: Visit, said: str, status: int) -> Response:
    core, now = frame.core, frame.core.clock.now()
    used = await last_used(core.store)
    newest = [*reversed(await core.keys.all())]
    keys = sorted(newest, key=lambda key: bool(key.refusal(now)))
    rows = [Row(key, _state(key, bool(key.refusal(now))), used.get(key.id, "")) for key in keys[:MOST]]
    return await frame.draw(visit, "keys.html", status=status, rows=rows, more=max(0, len(keys) - MOST), said=said)


def _state(key: Key, refused: bool) -> str:
    return "revoked" if key.revoked_at else "expired" if refused else "valid"
