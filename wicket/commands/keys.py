"""`wicket keys`: make, list, revoke and replace gateway keys."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from governance.clock import rfc3339
from governance.identity.keys import EVERY_TENANT, Grant, Key, KeyRole, Minted, mint
from governance.jsontree import Json
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.terminal import table

_SPAN = re.compile(r"(\d{1,5})([mhd])")
_UNITS: Mapping[str, str] = {"m": "minutes", "h": "hours", "d": "days"}
_COLUMNS = ("id", "state", "role", "name", "tenant", "agent", "created_at", "expires_at")


def lifetime(text: str) -> timedelta:
    """How long `30m`, `12h` or `90d` is."""
    found = _SPAN.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def create(situation: Situation) -> Exit:
    """Make a key and show it, once."""
    options = situation.options
    now = situation.clock.now()
    role = KeyRole(options.role)
    if role is KeyRole.AGENT and options.tenant == EVERY_TENANT:
        raise CommandError(Exit.USAGE, "an agent belongs to one tenant: `*` is for people, who then see all tenants")
    grant = Grant(
        role=role,
        tenant=options.tenant,
        team=options.team,
        agent=options.agent,
        user=options.user,
        models=tuple(options.model or ("*",)),
        servers=tuple(options.server or ("*",)),
        expires_at=now + options.expires if options.expires else None,
        name=options.name,
    )
    made = mint(grant, now)

    async def work(office: Office) -> None:
        await office.keys.add(made.key, actor=actor())

    in_office(situation, work)
    _hand_over(situation, made)
    return Exit.DONE


def list_keys(situation: Situation) -> Exit:
    """List keys; their tokens are nowhere."""

    async def work(office: Office) -> list[Key]:
        return await office.keys.all()

    now = situation.clock.now()
    rows = [_shown(key, now) for key in in_office(situation, work)]
    situation.terminal.show(list(rows), table(rows, _COLUMNS, "no keys: `wicket keys create` makes one"))
    return Exit.DONE


def revoke(situation: Situation) -> Exit:
    """Revoke a key; both proxies refuse it within about a second."""
    key_id = str(situation.options.id)

    async def work(office: Office) -> bool:
        return await office.keys.revoke(key_id, actor=actor())

    if not in_office(situation, work):
        raise _absent(key_id)
    situation.terminal.show({"id": key_id, "state": "revoked"}, f"revoked `{key_id}`")
    return Exit.DONE


def rotate(situation: Situation) -> Exit:
    """Revoke a key and make another with the same rights."""
    key_id = str(situation.options.id)

    async def work(office: Office) -> Minted:
        old = next((key for key in await office.keys.all() if key.id == key_id), None)
        if old is None:
            raise _absent(key_id)
        now = situation.clock.now()
        if old.grant.expires_at is not None and old.grant.expires_at <= now:
            raise CommandError(Exit.ABSENT, f"the key `{key_id}` has expired: make a new one with `wicket keys create`")
        made = mint(replace(old.grant), now)
        if not await office.keys.replace(key_id, made.key, actor=actor()):
            raise _absent(key_id)
        return made

    _hand_over(situation, in_office(situation, work))
    return Exit.DONE


def _hand_over(situation: Situation, made: Minted) -> None:
    lines = [f"key    {made.key.id} ({made.key.grant.role})", f"token  {made.token}", "", "It is not shown again."]
    situation.terminal.show({**_shown(made.key, made.key.created_at), "token": made.token}, lines)


def _shown(key: Key, now: datetime) -> dict[str, Json]:
    grant = key.grant
    state = "revoked" if key.revoked_at else "expired" if key.refusal(now) else "valid"
    return {
        "id": key.id,
        "state": state,
        "role": grant.role.value,
        "name": grant.name,
        "tenant": grant.tenant,
        "team": grant.team,
        "agent": grant.agent,
        "user": grant.user,
        "models": list(grant.models),
        "servers": list(grant.servers),
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339(grant.expires_at) if grant.expires_at else "",
    }


def _absent(key_id: str) -> CommandError:
    return CommandError(Exit.ABSENT, f"there is no valid key `{key_id}`: `wicket keys list` shows all")


COMMANDS = (
    Command(
        "keys create",
        "make a gateway key and show it, once",
        create,
        (
            argument("--name", default="", help="what to call it"),
            argument("--role", choices=[role.value for role in KeyRole], default="agent", help="what it is for"),
            argument("--tenant", default="default", help="tenant it belongs to; `*` for a person who sees all tenants"),
            argument("--team", default="", help="team it belongs to"),
            argument("--agent", default="", help="agent it is given to"),
            argument("--user", default="", help="person it stands for"),
            argument("--model", action="append", metavar="GLOB", help="models it may use; may be given again"),
            argument("--server", action="append", metavar="GLOB", help="MCP servers it may reach; may be given again"),
            argument("--expires", type=lifetime, metavar="SPAN", help="how long it is valid: `30m`, `12h`, `90d`"),
        ),
    ),
    Command("keys list", "list keys", list_keys),
    Command("keys revoke", "revoke a key", revoke, (argument("id", help="id of the key"),)),
    Command(
        "keys rotate",
        "replace a key by another with the same rights; the old one is refused at once",
        rotate,
        (argument("id", help="id of the key"),),
    ),
)
