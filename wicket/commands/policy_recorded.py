"""`wicket policy explain EXCHANGE`: why an exchange was decided as it was, rule by rule."""

from governance.history.explained import Explained, explained
from governance.jsontree import Json, JsonObject
from wicket.command import Situation
from wicket.exits import CommandError, Exit
from wicket.office import Office, in_office
from wicket.terminal import reveal


def explain_recorded(situation: Situation) -> Exit:
    """Say what each rule had to do with an exchange that was judged."""
    exchange_id = str(situation.options.exchange)

    async def work(office: Office) -> list[Explained]:
        return await explained(office.store, exchange_id)

    found = in_office(situation, work)
    if not found:
        what = f"there is no exchange `{reveal(exchange_id)}` in the log: `wicket audit show` lists them"
        raise CommandError(Exit.ABSENT, what)
    halves: list[Json] = [_value(one) for one in found]
    situation.terminal.show(
        {"exchange": exchange_id, "halves": halves}, [line for one in found for line in _lines(one)]
    )
    return Exit.DONE


def _lines(one: Explained) -> list[str]:
    half = one.half
    said = half.decision.value if half.decision else "not recorded"
    by = f" by rule `{half.rule}`" if half.rule else ""
    lines = [f"{half.phase.value}: {said}{by}, policy {half.version[:12] or 'not recorded'}, {half.at}"]
    lines += [f"note: {note}" for note in one.notes]
    for answer in one.answers:
        mark = "shadow " if answer.shadow else ""
        strongest = " <- decided" if answer.rule == half.rule else ""
        what = f"{answer.outcome:<8}{mark}{answer.decision.value:<7}{answer.rule}"
        lines.append(f"  {what} ({answer.file}:{answer.line}): {answer.why}{strongest}")
    return [reveal(line) for line in lines]


def _value(one: Explained) -> JsonObject:
    half = one.half
    rules: list[Json] = [
        {
            "rule": answer.rule,
            "file": answer.file,
            "line": answer.line,
            "decision": answer.decision.value,
            "shadow": answer.shadow,
            "outcome": answer.outcome,
            "why": answer.why,
            "decided": answer.rule == half.rule,
        }
        for answer in one.answers
    ]
    return {
        "phase": half.phase.value,
        "at": half.at,
        "session": half.session_id,
        "decision": half.decision.value if half.decision else None,
        "rule": half.rule,
        "version": half.version,
        "kept": half.kept,
        "notes": list(one.notes),
        "rules": rules,
    }
