"""The filters of `wicket sessions`, and what it makes of the list: a table, JSON lines, CSV."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.verdict import Decision
from sessions.index.follow import Follower
from sessions.index.lists.store import CHUNK, SqlLists
from sessions.index.lists.told import COLUMNS, cells, told
from sessions.index.lists.wanted import FilterError, Listed, Page, State, wanted_of
from sessions.index.store import SqlIndex
from wicket.command import Argument, Options, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office
from wicket.terminal import Terminal, table

BACKLOG = 5_000
"""Events that may be missing in the index without a word; reading in more takes a while."""
_STEP = 1_000
_COLUMNS = (
    "id", "state", "agent", "tenant", "models", "tools", "calls", "tokens", "cost", "findings", "approvals", "verdicts",
    "labels", "parent", "last_seen",
)  # fmt: skip
_WHEN = "for example `2026-11-21T12:00Z`; UTC where no zone is given"

FILTERS: tuple[Argument, ...] = (
    argument("--state", choices=[one.value for one in State], default="", help="how the session is"),
    argument("--agent", default="", help="the agent's name"),
    argument("--principal", default="", metavar="KEY_OR_PERSON", help="id of the key, or the person it stands for"),
    argument("--tenant", default="", help="the tenant"),
    argument("--model", default="", help="a model that was called"),
    argument("--tool", default="", help="a tool that was called"),
    argument("--server", default="", help="an MCP server that was used"),
    argument("--label", default="", help="a label that it carries"),
    argument("--finding", default="", metavar="KIND", help="a kind of finding; `any` for whatever was found"),
    argument("--approvals", action="store_true", help="a person was asked about something of it"),
    argument(
        "--verdict",
        default="",
        choices=[one.value for one in Decision if one is not Decision.ALLOW],
        help="a decision other than to allow, at least once",
    ),
    argument("--since", default="", metavar="TIME", help=f"began at or after, {_WHEN}"),
    argument("--until", default="", metavar="TIME", help=f"began before, {_WHEN}"),
    argument("--text", default="", help="part of the name of anything it is found by, or a whole id"),
)
"""The same filters as on the console's page of sessions."""


async def listed_page(office: Office, options: Options) -> Page:
    """The page of sessions that the options name."""
    kills = await office.kills.store.in_force(now=True)
    lists, found, before = SqlLists(office.store), Page(()), str(options.before)
    wanted = wanted_of(_asked(options))
    # A search that is broken off because it looked at enough goes on: a command may take its time.
    while len(found.sessions) < options.limit:
        left = options.limit - len(found.sessions)
        page = await lists.page(wanted, kills, office.clock.now(), before=before, limit=min(CHUNK, left))
        found, before = Page(found.sessions + page.sessions, page.next), page.next
        if not before:
            break
    return found


async def every(office: Office, options: Options) -> AsyncIterator[Listed]:
    """All sessions that the options name."""
    kills = await office.kills.store.in_force(now=True)
    async for one in SqlLists(office.store).every(wanted_of(_asked(options)), kills, office.clock.now()):
        yield one


def check(options: Options) -> None:
    """See to it that the filter is one, before anything is opened.

    Raises:
        CommandError: a time is none.
    """
    try:
        wanted_of(_asked(options))
    except FilterError as error:
        raise CommandError(Exit.USAGE, str(error)) from None


async def caught_up(office: Office, terminal: Terminal) -> None:
    """Read what is missing of the log into the index, and say so where that takes a while."""
    index = SqlIndex(office.store)
    _, missing = await index.behind()
    tenths = 0

    def say(done: int, of: int) -> None:
        nonlocal tenths
        if of > BACKLOG and 10 * done // of > tenths:
            tenths = 10 * done // of
            terminal.say(f"reading the log into the index: {done:,} of {of:,} events")

    if missing:
        await Follower(index, office.clock).catch_up_wholly(say)


def lines(found: Sequence[JsonObject]) -> list[str]:
    """Sessions as a table for people."""
    return table([_line(one) for one in found], _COLUMNS, "no session fits")


def _line(one: JsonObject) -> JsonObject:
    tokens = sum(count for name in ("input_tokens", "output_tokens") if isinstance(count := one[name], int))
    verdicts = jsontree.as_object(one["verdicts"])
    return {
        **one,
        "models": _few(one["models"]),
        "tools": _few(one["tools"]),
        "labels": _few(one["labels"], 10),
        "tokens": tokens,
        "cost": f"${one['cost_usd']}" if one["calls"] else "",
        "verdicts": ", ".join(f"{name} {count}" for name, count in verdicts.items() if name != "allow"),
        "parent": one["parent_id"],
    }


def _few(names: Json, most: int = 3) -> str:
    some = [str(name) for name in names] if isinstance(names, list) else []
    return ", ".join(some[:most]) + (f" and {len(some) - most} more" if len(some) > most else "")


async def write_export(office: Office, situation: Situation, write: Callable[[str], object]) -> int:
    """Write every session that fits, one a line, as they are read; returns how many."""
    as_csv, count = situation.options.format == "csv", 0
    if as_csv:
        write(_row(COLUMNS))
    async for one in every(office, situation.options):
        write(_row(cells(one)) if as_csv else jsontree.dump(told(one)).decode() + "\n")
        count += 1
        if count % _STEP == 0 and situation.terminal.err.isatty():
            situation.terminal.say(f"{count:,} sessions")
    return count


def _row(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _asked(options: Options) -> dict[str, str]:
    names = [one.flags[0].removeprefix("--") for one in FILTERS]
    return {name: "1" if (value := getattr(options, name)) is True else str(value or "") for name in names}
