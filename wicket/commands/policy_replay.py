"""`wicket policy replay`: what a changed policy would have decided about the traffic that was."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from governance.clock import rfc3339
from governance.config.load import load
from governance.history.replay import Flips, Replay, Report, Span, Turn
from governance.jsontree import Json, JsonObject
from governance.policy.engine import Policy
from governance.policy.load import load as load_policy
from wicket.command import Command, Situation, argument
from wicket.commands.audit import moment
from wicket.exits import CommandError, Exit
from wicket.office import Office, in_office
from wicket.terminal import reveal, table

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_COLUMNS = ("flip", "count", "rule", "subject", "sessions", "example")
_SHOWN_SESSIONS = 20
_PROGRESS_SECONDS = 0.2


def replay(situation: Situation) -> Exit:
    """Judge recorded traffic by a draft, and say what it would have decided otherwise."""
    options = situation.options
    load(Path(options.config))
    draft, span = load_policy(options.draft), _span(situation)

    async def work(office: Office) -> Report:
        return await Replay(office.store, draft).run(span, _progress(situation))

    report = in_office(situation, work, spin=False)
    situation.terminal.show(_value(report), _lines(report, draft))
    if not options.fail_on_flip:
        return Exit.DONE
    if not report.judged:
        situation.terminal.say("nothing could be judged, so nothing is proved: see `replay.keep` in docs/policy.md")
        return Exit.ABSENT
    return Exit.FOUND if report.flipped else Exit.DONE


def _span(situation: Situation) -> Span:
    options, now = situation.options, situation.clock.now()
    if options.since and options.start:
        raise CommandError(Exit.USAGE, "`--since` and `--from` say the same: give one")
    if options.last is not None and options.last < 1:
        raise CommandError(Exit.USAGE, "`--last` takes a number from 1")
    since = options.start or (_ago(options.since, now) if options.since else "")
    if not since and not options.last and not options.session:
        since = _ago("24h", now)
    return Span(since, options.end or "", options.last or 0, options.session)


def _ago(text: str, now: datetime) -> str:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if found is None:
        raise CommandError(Exit.USAGE, f"`--since {reveal(text)}` is no length of time: write `90m`, `24h` or `7d`")
    return rfc3339(now - timedelta(**{_UNITS[found[2]]: int(found[1])}))


def _progress(situation: Situation) -> Callable[[int], None]:
    """Says how far it is, on one line of a person's terminal."""
    terminal, clock, said = situation.terminal, situation.clock, [float("-inf")]

    def progress(done: int) -> None:
        if not terminal.as_json and terminal.err.isatty() and clock.monotonic() - said[0] > _PROGRESS_SECONDS:
            said[0] = clock.monotonic()
            terminal.err.write(f"\r{done:,} exchanges judged ")
            terminal.err.flush()

    return progress


def _lines(report: Report, draft: Policy) -> list[str]:
    if not report.exchanges:
        return ["no exchange was recorded in this time"]
    lines = [
        (
            f"{report.exchanges:,} exchanges, {report.first_at[:19]} to {report.last_at[:19]}, "
            f"judged by the draft {report.draft[:12]} ({len(draft.rules)} rules)"
        ),
        (
            f"{report.same:,} halves are decided as they were, {report.flipped:,} otherwise, "
            f"{report.unknown_halves:,} cannot be judged"
        ),
    ]
    if report.flips:
        lines += ["", *table([_row(turn, flips) for turn, flips in _sorted(report)], _COLUMNS, "")]
        lines += ["", "by rule of the draft: " + _summed(report, lambda turn: turn.rule_after or "(no rule)")]
        lines += ["by tool or model: " + _summed(report, lambda turn: turn.name)]
    if report.unknown:
        lines += ["", "cannot be judged:"]
        lines += [f"  {count:,}: {_reason(rule, why)}" for (rule, why), count in report.unknown.most_common(20)]
        lines += [f"  for example {', '.join(map(reveal, report.unknown_examples))}"]
    if report.unasked:
        lines += ["", "no rule was asked about:"]
        lines += [f"  {count:,}: {reveal(why)}" for why, count in report.unasked.most_common()]
    if any(rule.adds for rule in draft.rules):
        lines += ["", "labels are as they were: what the draft would label is not carried on to later exchanges"]
    return lines


def _sorted(report: Report) -> list[tuple[Turn, Flips]]:
    return sorted(report.flips.items(), key=lambda one: (-one[1].count, one[0]))


def _row(turn: Turn, flips: Flips) -> dict[str, object]:
    return {
        "flip": f"{turn.before} -> {turn.after}" + (" (response)" if turn.phase == "response" else ""),
        "count": f"{flips.count:,}",
        "rule": f"{turn.rule_before or '(none)'} -> {turn.rule_after or '(none)'}",
        "subject": f"{turn.name or turn.action} on {turn.server}" if turn.server else turn.name or turn.action,
        "sessions": f"{len(flips.sessions):,}",
        "example": flips.examples[-1],
    }


def _summed(report: Report, name: Callable[[Turn], str]) -> str:
    counts: Counter[str] = Counter()
    for turn, flips in report.flips.items():
        counts[name(turn)] += flips.count
    return ", ".join(f"{reveal(one)} {count:,}" for one, count in counts.most_common(10))


def _reason(rule: str, why: str) -> str:
    return f"rule `{reveal(rule)}`: {reveal(why)}" if rule else reveal(why)


def _value(report: Report) -> JsonObject:
    flips: list[Json] = [_flip(turn, one) for turn, one in _sorted(report)]
    unknown: list[Json] = [
        {"rule": rule, "why": why, "count": count} for (rule, why), count in report.unknown.most_common()
    ]
    unasked: list[Json] = [{"why": why, "count": count} for why, count in report.unasked.most_common()]
    versions: JsonObject = dict(report.versions)
    return {
        "draft": report.draft,
        "exchanges": report.exchanges,
        "from": report.first_at,
        "to": report.last_at,
        "judged": report.judged,
        "same": report.same,
        "flipped": report.flipped,
        "unknown": report.unknown_halves,
        "flips": flips,
        "unknown_because": unknown,
        "unknown_examples": list(report.unknown_examples),
        "unasked": unasked,
        "versions": versions,
    }


def _flip(turn: Turn, flips: Flips) -> Json:
    most = sorted(flips.sessions.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN_SESSIONS]
    sessions: JsonObject = dict(most)
    named: JsonObject = dict(turn._asdict())
    return {
        **named,
        "count": flips.count,
        "examples": list(flips.examples),
        "session_count": len(flips.sessions),
        "sessions": sessions,
    }


_WHEN = "for example `2026-11-21T12:00Z`; your own time zone where none is given"

COMMANDS = (
    Command(
        "policy replay",
        "judge recorded traffic by a changed policy, and list what it would have decided otherwise",
        replay,
        (
            argument(
                "--draft",
                action="append",
                type=Path,
                required=True,
                metavar="FILE",
                help="the changed policy; may be given again, for all its files",
            ),
            argument("--since", metavar="SPAN", help="exchanges of the last `90m`, `24h` (the default) or `7d`"),
            argument("--from", dest="start", type=moment, metavar="TIME", help=f"at or after, {_WHEN}"),
            argument("--to", dest="end", type=moment, metavar="TIME", help=f"before, {_WHEN}"),
            argument("--last", type=int, metavar="N", help="only the newest N exchanges"),
            argument("--session", default="", help="only exchanges of a session"),
            argument("--fail-on-flip", action="store_true", help="exit 1 where anything would be decided otherwise"),
        ),
        {
            Exit.DONE: "with `--fail-on-flip`: nothing would be decided otherwise",
            Exit.FOUND: "with `--fail-on-flip`: something would be decided otherwise",
            Exit.ABSENT: "with `--fail-on-flip`: nothing could be judged",
            Exit.CONFIG: "the draft or the configuration cannot be used",
        },
    ),
)
