"""`wicket policy versions`, `diff` and `rollback`: policies that were in force, what differs, and bringing one back."""

from collections.abc import Sequence
from pathlib import Path

from approvals.desk import plain
from governance.audit.event import Draft, Tag
from governance.history.rollback import Plan, RollbackError, carry_out, plan
from governance.history.store import SqlVersions
from governance.history.versions import Difference, RuleChange, UnknownVersionError, Version, difference, version_called
from governance.jsontree import Json
from governance.policy.load import read_sources
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.terminal import reveal, table

_COLUMNS = ("version", "in_force", "rules", "first_at", "last_at", "loads", "reason")


def versions(situation: Situation) -> Exit:
    """List the policies that were in force, the one that is first."""

    async def work(office: Office) -> list[Version]:
        return await SqlVersions(office.store).listed(max(1, int(situation.options.limit)))

    found = in_office(situation, work)
    rows = [
        {**shown, "version": one.short, "in_force": "yes" if index == 0 else ""}
        for index, (one, shown) in enumerate((one, _shown(one)) for one in found)
    ]
    value: list[Json] = [{**_shown(one), "in_force": index == 0} for index, one in enumerate(found)]
    situation.terminal.show(value, table(rows, _COLUMNS, "no policy was in force yet: start Wicket with `wicket up`"))
    return Exit.DONE


def diff(situation: Situation) -> Exit:
    """Show what differs between two policies, by rule and by line."""
    options = situation.options

    async def work(office: Office) -> tuple[str, str, Difference]:
        store = SqlVersions(office.store)
        before = await _called(store, options.before)
        if options.after is None:
            return (
                before.short,
                "the files",
                difference(before.sources, read_sources(map(Path, office.config.policies))),
            )
        after = await _called(store, options.after)
        return before.short, after.short, difference(before.sources, after.sources)

    before, after, found = in_office(situation, work)
    nothing = f"{before} and {after} do not differ"
    situation.terminal.show({"before": before, "after": after, **_differences(found)}, _lines(found, nothing))
    return Exit.FOUND if found.anything else Exit.DONE


def rollback(situation: Situation) -> Exit:
    """Write the files of an earlier policy back."""
    options, reason = situation.options, plain(str(situation.options.reason))
    if not options.dry_run and not reason:
        raise CommandError(Exit.USAGE, "say why with `--reason`: it is kept in the audit log")

    async def work(office: Office) -> tuple[Plan, list[Path], str]:
        store = SqlVersions(office.store)
        newest = await store.listed(1)
        in_force = newest[0].version if newest else ""
        planned = plan(await _called(store, options.version), [Path(one) for one in office.config.policies], in_force)
        if not options.dry_run and planned.writes:
            if planned.changed and not options.force:
                raise CommandError(
                    Exit.ABSENT,
                    f"{reveal(planned.changed)}: look with `wicket policy diff {planned.target.short}`, "
                    "and give `--force` to write over it (a backup is made)",
                )
            return planned, await _write(office, store, planned, in_force, reason), in_force
        return planned, [], in_force

    try:
        planned, backups, in_force = in_office(situation, work)
    except RollbackError as error:
        raise CommandError(Exit.ABSENT, reveal(str(error))) from None
    files = [name for name, _ in planned.writes]
    value: dict[str, Json] = {
        "version": planned.target.version,
        "from": in_force,
        "written": list(files) if not options.dry_run else [],
        "backups": [str(one) for one in backups],
        "changed": planned.changed,
        "dry_run": bool(options.dry_run),
        **_differences(planned.differs),
    }
    situation.terminal.show(value, _told(planned, backups, dry=options.dry_run))
    return Exit.DONE


async def _write(office: Office, store: SqlVersions, planned: Plan, in_force: str, reason: str) -> list[Path]:
    """The event first, then the files: nobody changes what is allowed without a trace."""
    fields = {
        "policy_version": planned.target.version,
        "previous_version": in_force,
        "files": [name for name, _ in planned.writes],
        "problems": [planned.changed] if planned.changed else [],
        "reason": reason,
        "actor": actor(),
    }
    at = office.clock.now()
    note = store.brought_back(planned.target.version, actor=actor(), reason=reason, at=at)
    await office.audit.append(Draft(Tag.POLICY_ROLLED_BACK, fields), note)
    return carry_out(planned, at)


async def _called(store: SqlVersions, name: str) -> Version:
    try:
        return await version_called(store, name)
    except UnknownVersionError as error:
        raise CommandError(Exit.ABSENT, reveal(str(error))) from None


def _told(planned: Plan, backups: Sequence[Path], *, dry: bool) -> list[str]:
    target = planned.target.short
    if not planned.writes:
        return [f"the files are as version {target} has them: nothing was written"]
    if dry:
        warning = [f"warning: {reveal(planned.changed)}"] if planned.changed else []
        return [*warning, *_lines(planned.differs, ""), f"nothing was written; this is what version {target} changes"]
    lines = [f"wrote {reveal(name)}" for name, _ in planned.writes]
    lines += [f"kept what was there as {reveal(str(one))}" for one in backups]
    return [*lines, f"version {target} is taken up within a second by every process that runs"]


def _shown(one: Version) -> dict[str, Json]:
    return {
        "version": one.version,
        "rules": one.rules,
        "loads": one.loads,
        "first_at": one.first_at,
        "first_by": one.first_by,
        "last_at": one.last_at,
        "last_by": one.last_by,
        "reason": one.reason,
        "actor": one.actor,
        "rolled_back_at": one.rolled_back_at,
        "files": [name for name, _ in one.sources],
    }


def _differences(found: Difference) -> dict[str, Json]:
    return {"rules": [_changed(one) for one in found.rules], "text": list(found.text), "unread": found.unread}


def _changed(one: RuleChange) -> Json:
    changes: list[Json] = [{"key": key.key, "before": key.before, "after": key.after} for key in one.changes]
    return {"rule": one.rule, "how": one.how, "changes": changes}


def _lines(found: Difference, nothing: str) -> list[str]:
    if not found.anything:
        return [nothing]
    lines: list[str] = []
    for one in found.rules:
        lines.append(f"{one.how:<8} {reveal(one.rule)}")
        if one.how == "changed":
            lines += [f"         {reveal(key.key)}: {_side(key.before)} -> {_side(key.after)}" for key in one.changes]
    if found.unread:
        lines.append(f"the rules could not be compared: {reveal(found.unread)}")
    return [*lines, *([""] if lines else []), *map(reveal, found.text)]


def _side(text: str | None) -> str:
    return reveal(text) if text is not None else "nothing"


_VERSION = "version, or the beginning of one, as `wicket policy versions` lists it"
_NONE = {Exit.ABSENT: "no such version was ever in force here"}

COMMANDS = (
    Command(
        "policy versions",
        "list the policies that were in force, the one that is first",
        versions,
        (argument("--limit", type=int, default=20, help="most versions to show (default 20)"),),
    ),
    Command(
        "policy diff",
        "show what differs between two policies, by rule and by line",
        diff,
        (
            argument("before", help=_VERSION),
            argument("after", nargs="?", help="another one (default: the files as they are)"),
        ),
        {Exit.DONE: "nothing differs", Exit.FOUND: "something differs", **_NONE},
    ),
    Command(
        "policy rollback",
        "write the files of an earlier policy back, with a backup of what is there",
        rollback,
        (
            argument("version", help=_VERSION),
            argument("--reason", default="", help="why; kept in the audit log, and needed unless `--dry-run`"),
            argument("--dry-run", action="store_true", help="only show what would change"),
            argument("--force", action="store_true", help="also where the files are not those that are in force"),
        ),
        {Exit.ABSENT: "there is no such version, or the files changed since they were taken up"},
    ),
)
