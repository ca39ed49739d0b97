"""A draft is tried on recorded traffic: flips are listed, and what cannot be judged is counted with its reason."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from governance.audit.event import Tag
from governance.audit.log import Journal
from governance.clock import rfc3339
from governance.exchange import Exchange, Phase, SessionRef
from governance.history.explained import explained
from governance.history.ledger import Keeping, Ledger
from governance.history.replay import PAGE, Replay, Report, Span
from governance.history.store import SqlShelf, SqlVersions
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.policy.load import compile_sources
from governance.store import Store, open_store
from governance.verdict import Decision, Finding, Verdict
from pipeline import record
from tests.conftest import ManualClock
from tests.governance.policy.calls import call

OLD = """\
version: 1
rules:
  - {id: writes, match: {tool: write_*}, decide: hold}
  - {id: system, match: {args: {/path: /etc/*}}, decide: deny}
"""
NEW = """\
version: 1
rules:
  - {id: writes, match: {tool: write_*, labels: untrusted_content}, decide: hold}
  - {id: system, match: {args: {/path: [/etc/*, /var/*]}}, decide: deny}
"""


EVERYTHING = Span()


def policy(text: str) -> Policy:
    return compile_sources([("policy.yaml", text)])


class Town:
    """An installation in small: a log, a ledger, and the policy in force."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.clock, self.count = store, clock, 0
        self.audit = Journal(store, bytes(32), clock, writer="test")
        self.ledger = Ledger(SqlShelf(store), clock, Keeping(facts=True, arguments=True))
        self.policy = policy(OLD)

    async def take_up(self) -> None:
        work = SqlVersions(self.store).taken_up(
            self.policy.version, [("policy.yaml", OLD)], rules=2, by="mcp", at=self.clock.now()
        )
        await self.store.write(work)

    async def judge(self, exchange: Exchange, *, kept: bool = True, by: Verdict | None = None) -> str:
        """Judge a call and write it down, as a proxy would; `by` is what another check made of it."""
        self.count += 1
        self.clock.advance(1)
        stamp = f"{int(self.clock.now().timestamp() * 1000):011x}"
        session = SessionRef(f"ses_{self.count % 2}", "explicit", 1)
        exchange = replace(exchange, id=f"exc_{stamp}{self.count:08}", session=session, at=self.clock.now())

        def around() -> Around:
            return Around(self.clock.now(), 0, frozenset({"untrusted_content"}))

        heard: list[Verdict] = []
        verdict = self.policy.judge(exchange, Phase.REQUEST, around, heard)
        if kept:
            self.ledger.hear(exchange, Phase.REQUEST, verdict, heard, around)
            await self.ledger.flush()
        final = by or verdict
        tag = Tag.EXCHANGE_ADMITTED if final.decision.strength < Decision.DENY.strength else Tag.EXCHANGE_REFUSED
        await self.audit.append(record.decision(tag, exchange, final))
        return exchange.id

    async def replay(self, text: str = NEW, span: Span = EVERYTHING) -> Report:
        return await Replay(self.store, policy(text)).run(span)


@pytest.fixture
async def town(database_url: str, clock: ManualClock) -> AsyncGenerator[Town]:
    async with open_store(database_url) as store:
        opened = Town(store, clock)
        await opened.take_up()
        yield opened


async def test_flips_are_grouped_by_rule_and_tool_with_examples_and_sessions(town: Town) -> None:
    first = await town.judge(call(tool="read", args={"path": "/var/log"}))
    second = await town.judge(call(tool="read", args={"path": "/var/tmp"}))
    await town.judge(call(tool="read", args={"path": "/etc/passwd"}))
    await town.judge(call(tool="read", args={"path": "/home"}))
    report = await town.replay()
    ((turn, flips),) = report.flips.items()
    assert (turn.before, turn.after, turn.rule_before, turn.rule_after, turn.name) == (
        "allow",
        "deny",
        "",
        "system",
        "read",
    )
    assert (flips.count, flips.examples, flips.sessions) == (2, [first, second], {"ses_0": 1, "ses_1": 1})
    assert (report.exchanges, report.same, report.unknown_halves) == (4, 2, 0)
    assert report.versions == {town.policy.version: 4}


async def test_labels_are_those_of_the_time(town: Town) -> None:
    await town.judge(call(args={"path": "/home"}))
    assert (await town.replay()).flips == {}
    (turn,) = (await town.replay(NEW.replace("untrusted_content", "secret"))).flips
    assert (turn.before, turn.after, turn.rule_before) == ("hold", "allow", "writes")


async def test_an_exchange_of_which_only_the_event_is_kept_is_judged_by_names_alone(town: Town) -> None:
    await town.judge(call(tool="read", args={"path": "/var/log"}), kept=False)
    report = await town.replay()
    assert (report.judged, report.unknown_halves) == (0, 1)
    assert report.unknown == {("system", "its arguments were not kept (`replay.keep`)"): 1}
    names = await town.replay("version: 1\nrules:\n  - {id: r, match: {tool: read}, decide: deny}\n")
    assert [(turn.after, turn.rule_after) for turn in names.flips] == [("deny", "r")]


async def test_what_another_check_refused_before_the_rules_is_no_matter_of_theirs(town: Town) -> None:
    await town.judge(call(tool="read"), kept=False, by=Verdict(Decision.DENY, "detect", "secret", "found"))
    report = await town.replay()
    assert report.unasked == {"the check `detect` had refused before any rule was asked": 1}
    assert (report.judged, report.unknown_halves) == (0, 0)


async def test_where_another_check_decided_the_rules_of_then_are_asked_again(town: Town) -> None:
    version = town.policy.version
    by = Verdict(Decision.DENY, "approval", "approval.denied", "no", version=version)
    await town.judge(call(tool="write_file"), kept=False, by=by)
    await town.judge(call(tool="write_file"), kept=False, by=replace(by, by="loop", version=""))
    draft = "version: 1\nrules:\n  - {id: r, match: {tool: write_*}, decide: deny}\n"
    report = await town.replay(draft)
    assert report.unknown_halves == 2, "the arguments decide between `hold` and `deny`"
    assert any("check `loop` decided" in why for _, why in report.unknown)


async def test_a_record_that_does_not_lead_to_what_was_decided_proves_nothing(town: Town) -> None:
    exchange = await town.judge(call(tool="read", args={"path": "/home"}))
    judged = (await SqlShelf(town.store).judgements([exchange]))[exchange, "request"]
    await SqlShelf(town.store).add({}, [judged._replace(scene=judged.scene.replace("/home", "/etc/x"))])
    report = await town.replay()
    assert (report.flips, report.unknown) == (
        {},
        {("", "what is kept of it does not lead to what was decided then"): 1},
    )
    assert "asked again these rules say `deny`" in (await explained(town.store, exchange))[0].notes[0]


async def test_a_name_that_was_withheld_is_not_taken_for_one(town: Town) -> None:
    found = Finding("pii.ssn", "ssn", "/params/name", 0, 3, fixed=True)
    await town.judge(replace(call(tool="read"), findings=(found,)))
    report = await town.replay()
    assert [why for _, why in report.unknown] == ["the name of what was called was not kept: something was found in it"]


async def test_only_what_is_asked_for_is_judged(town: Town) -> None:
    for _ in range(6):
        await town.judge(call(tool="read"))
    now = rfc3339(town.clock.now())
    assert (await town.replay(span=Span(since=now))).exchanges == 1
    assert (await town.replay(span=Span(until=now))).exchanges == 5
    assert (await town.replay(span=Span(last=4))).exchanges == 4
    assert (await town.replay(span=Span(session_id="ses_1"))).exchanges == 3
    assert (await town.replay(span=Span(session_id="ses_1", last=2))).exchanges == 2
    assert (await town.replay(span=Span(since="2100"))).exchanges == 0


async def test_a_long_log_is_read_page_by_page(town: Town) -> None:
    for _ in range(PAGE + 5):
        await town.judge(call(tool="read"), kept=False)
    told: list[int] = []
    report = await Replay(town.store, policy(OLD.replace("hold", "deny"))).run(Span(), told.append)
    assert (report.exchanges, told) == (PAGE + 5, [PAGE, PAGE + 5])


async def test_a_response_is_judged_where_it_was_kept_and_counted_where_not(town: Town) -> None:
    draft = "version: 1\nrules:\n  - {id: r, phase: response, match: {tool: read}, decide: deny}\n"
    await town.judge(call(tool="read"), kept=False)
    assert (await town.replay(draft)).unknown == {
        ("", "how its response was judged was not kept (`replay.keep`)"): 1,
    }


async def test_an_explanation_says_what_it_cannot_know(town: Town) -> None:
    exchange = await town.judge(call(tool="read", args={"path": "/home"}), kept=False)
    (half,) = await explained(town.store, exchange)
    assert {one.rule: one.outcome for one in half.answers} == {"writes": "no", "system": "unknown"}
    assert any("only the event" in note for note in half.notes)
    assert await explained(town.store, "exc_none") == []
