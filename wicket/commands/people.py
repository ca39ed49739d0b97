"""`wicket people`: who came in by the identity provider, shutting somebody out, and letting them in again.

What they may do is said by the configuration (`console.oidc.people`); keys of people are `wicket keys`.
"""

from console.people import Person
from governance.jsontree import Json
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.terminal import table

_COLUMNS = ("id", "state", "user", "role", "tenant", "team", "signed_in_at")


def list_people(situation: Situation) -> Exit:
    """List everybody who ever came in."""

    async def work(office: Office) -> list[Person]:
        return await office.people.all()

    rows = [_shown(person) for person in in_office(situation, work)]
    situation.terminal.show(list(rows), table(rows, _COLUMNS, "nobody came in by an identity provider yet"))
    return Exit.DONE


def revoke(situation: Situation) -> Exit:
    """Shut somebody out: their sessions end at once, whatever the identity provider says."""
    person_id, reason = str(situation.options.id), str(situation.options.reason)

    async def work(office: Office) -> bool:
        return await office.people.revoke(person_id, actor=actor(), reason=reason)

    if not in_office(situation, work):
        raise CommandError(Exit.ABSENT, f"there is nobody `{person_id}` who could be shut out: `wicket people list`")
    situation.terminal.show({"id": person_id, "state": "shut out"}, f"shut out `{person_id}`")
    return Exit.DONE


def restore(situation: Situation) -> Exit:
    """Let somebody sign in again."""
    person_id, reason = str(situation.options.id), str(situation.options.reason)

    async def work(office: Office) -> bool:
        return await office.people.restore(person_id, actor=actor(), reason=reason)

    if not in_office(situation, work):
        raise CommandError(Exit.ABSENT, f"there is nobody `{person_id}` who was shut out: `wicket people list`")
    situation.terminal.show({"id": person_id, "state": "let in"}, f"`{person_id}` may sign in again")
    return Exit.DONE


def _shown(person: Person) -> dict[str, Json]:
    return {
        "id": person.id,
        "state": "shut out" if person.revoked_at else "let in",
        "user": person.user,
        "role": person.role.value,
        "tenant": person.tenant,
        "team": person.team,
        "issuer": person.issuer,
        "subject": person.subject,
        "created_at": person.created_at,
        "signed_in_at": person.signed_in_at,
        "revoked_at": person.revoked_at or "",
    }


_ID = argument("id", help="id of the person, `per_...`")
_REASON = argument("--reason", default="", help="why; kept in the audit log")

COMMANDS = (
    Command("people list", "list who came in by the identity provider", list_people),
    Command("people revoke", "shut somebody out, and end their sessions", revoke, (_ID, _REASON)),
    Command("people restore", "let somebody sign in again who was shut out", restore, (_ID, _REASON)),
)
