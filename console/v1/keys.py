"""Gateway keys: which there are, and revoking one. Keys are made by `wicket keys create`, which alone shows them."""

from pydantic import Field

from console.roles import Permission
from console.store import last_used
from console.v1 import cursor
from console.v1.operation import Call, Operation, Paged
from console.v1.problems import ProblemError
from console.v1.shapes import Key, Keys, Revocation, Revoked
from governance.clock import rfc3339
from governance.identity import keys


class KeyQuery(Paged):
    """Which keys."""

    role: keys.KeyRole | None = None
    tenant: str = Field(default="", description="Only of this tenant.")
    valid: bool = Field(default=False, description="Only those that are valid now.")


async def list_keys(call: Call) -> Keys:
    """The newest first."""
    asked: KeyQuery = call.query
    core, place = call.frame.core, cursor.opened(asked.cursor)
    now = core.clock.now()
    found = [
        key
        for key in reversed(await core.keys.all())
        if (asked.role is None or key.grant.role is asked.role)
        and asked.tenant in ("", key.grant.tenant)
        and not (asked.valid and key.refusal(now))
        and (place is None or (rfc3339(key.created_at), key.id) < place)
    ]
    used = await last_used(core.store)
    shown = found[: asked.limit]
    more = cursor.close(rfc3339(shown[-1].created_at), shown[-1].id) if len(found) > asked.limit else None
    return Keys(items=[key_of(one, used.get(one.id, ""), bool(one.refusal(now))) for one in shown], next=more)


async def revoke(call: Call) -> Revoked:
    """Revoke a key; both proxies refuse it within about a second, and sessions that it opened end."""
    asked, core, key_id = call.body, call.frame.core, call.path["key"]
    assert isinstance(asked, Revocation)  # noqa: S101 - the door has read it by this shape
    known = next((one for one in await core.keys.all() if one.id == key_id), None)
    if known is None:
        raise ProblemError(404, "unknown", "there is no key with this id")
    changed = await core.keys.revoke(key_id, actor=call.visitor.name, reason=asked.reason)
    await core.identity.refresh()
    return Revoked(id=key_id, changed=changed)


def key_of(key: keys.Key, used: str, refused: bool) -> Key:
    """A key as it is shown."""
    grant = key.grant
    return Key(
        id=key.id,
        state="revoked" if key.revoked_at else "expired" if refused else "valid",
        name=grant.name,
        role=grant.role.value,
        tenant=grant.tenant,
        team=grant.team,
        agent=grant.agent,
        user=grant.user,
        models=list(grant.models),
        servers=list(grant.servers),
        created_at=rfc3339(key.created_at),
        expires_at=rfc3339(grant.expires_at) if grant.expires_at else "",
        revoked_at=rfc3339(key.revoked_at) if key.revoked_at else "",
        last_used_at=used,
    )


OPERATIONS = (
    Operation("listKeys", "GET", "/keys", Permission.KEYS, "Keys, the newest first", Keys, list_keys, KeyQuery),
    Operation(
        "revokeKey", "POST", "/keys/{key}/revocation", Permission.KEYS_REVOKE, "Revoke a key", Revoked, revoke,
        body=Revocation, refusals={404: "there is none"},
    ),
)  # fmt: skip
