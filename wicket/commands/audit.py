"""`wicket audit`: read, export and verify the log."""

from datetime import datetime
from pathlib import Path

import orjson

from governance.audit import keys
from governance.audit.event import Receipt, Tag
from governance.audit.query import Record, Wanted, export, find
from governance.audit.sources import exported, verify_database
from governance.audit.verified import draft_of
from governance.audit.verify import Report, noted, verify
from governance.clock import rfc3339
from governance.config.load import load
from governance.config.secrets import open_secrets
from governance.jsontree import Json
from governance.store import StoreError
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.terminal import table

_COLUMNS = ("seq", "at", "event_type", "session_id", "model", "tool", "policy_decision", "rule")


def show(situation: Situation) -> Exit:
    """Show events, the newest first."""
    options = situation.options
    wanted = Wanted(
        event_types=tuple(options.type or ()),
        tenant_id=options.tenant,
        session_id=options.session,
        exchange_id=options.exchange,
        key_id=options.key,
        since=options.since or "",
        until=options.until or "",
        newest_first=True,
        limit=options.limit,
    )

    async def work(office: Office) -> tuple[Record, ...]:
        return await find(office.store, wanted)

    rows = [{"seq": record.seq, **record.fields, "hash": record.hash} for record in in_office(situation, work)]
    situation.terminal.show(orjson.loads(orjson.dumps(rows)), table(rows, _COLUMNS, "no such events"))
    return Exit.DONE


def write_export(situation: Situation) -> Exit:
    """Write the whole log, one event a line, in the form that `audit verify --file` reads."""

    async def work(office: Office) -> None:
        async for line in export(office.store):
            situation.terminal.out.write(f"{line}\n")

    in_office(situation, work)
    situation.terminal.out.flush()
    return Exit.DONE


def verify_log(situation: Situation) -> Exit:
    """Verify the chain and its seals, in the database or in an exported file."""
    config = load(Path(situation.options.config))
    key = keys.derive(open_secrets(config).master, keys.AUDIT_MAC)
    began = situation.clock.monotonic()
    with situation.terminal.progress("verifying every event"):
        report = _verify(config.database, situation.options.file, key, situation.options.head)
    if situation.options.record and situation.options.file is None:
        took = round((situation.clock.monotonic() - began) * 1000)

        async def record(office: Office) -> None:
            await office.audit.append(draft_of(report, actor=actor(), milliseconds=took))

        in_office(situation, record)
    value: Json = {
        "checked": report.checked,
        "head": f"{report.head.seq}:{report.head.hash}" if report.head else None,
        "sealed": report.sealed,
        "fault": report.fault.value if report.fault else None,
        "seq": report.seq if report.fault else None,
        "why": report.why,
    }
    situation.terminal.show(value, str(report))
    return Exit(report.exit_code)


def _verify(database: str, file: Path | None, key: bytes, known: Receipt | None) -> Report:
    try:
        if file is None:
            return verify_database(database, key=key, known=known)
        with file.open("rb") as lines:
            return verify(exported(lines), key=key, known=known)
    except StoreError as error:
        raise CommandError(Exit.UNAVAILABLE, str(error)) from error
    except OSError as error:
        raise CommandError(Exit.ABSENT, f"`{file}` cannot be read ({error.strerror})") from None


def moment(text: str) -> str:
    """A time as people write it, as the log has it."""
    found = datetime.fromisoformat(text)
    return rfc3339(found.astimezone() if found.tzinfo is None else found)


_WHEN = "for example `2026-11-21T12:00Z`; your own time zone where none is given"

COMMANDS = (
    Command(
        "audit show",
        "show events, the newest first",
        show,
        (
            argument(
                "--type",
                action="append",
                metavar="TAG",
                choices=[tag.value for tag in Tag],
                help="kind of event, as in docs/audit.md; may be given again",
            ),
            argument("--tenant", default="", help="events of a tenant"),
            argument("--session", default="", help="events of a session"),
            argument("--exchange", default="", help="events of an exchange"),
            argument("--key", default="", help="events of a gateway key"),
            argument("--since", type=moment, metavar="TIME", help=f"at or after, {_WHEN}"),
            argument("--until", type=moment, metavar="TIME", help=f"before, {_WHEN}"),
            argument("--limit", type=int, default=100, help="most events to show (default 100)"),
        ),
    ),
    Command("audit export", "write the whole log, one JSON object a line", write_export),
    Command(
        "audit verify",
        "verify that every event is there and unchanged",
        verify_log,
        (
            argument("--file", type=Path, help="an exported log instead of the database"),
            argument(
                "--record", action="store_true", help="write down in the log what came of it: the console tells it"
            ),
            argument("--head", type=noted, metavar="SEQ:HASH", help="a head noted earlier: tells a tail that was cut"),
        ),
        {
            Exit.DONE: "every event is verified",
            Exit.FOUND: "the log is broken; the event is named",
            Exit.USAGE: "there was nothing to check",
        },
    ),
)
