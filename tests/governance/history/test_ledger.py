"""What rules said is counted, what they saw is kept for a bounded time, and nothing of it holds up an exchange."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

import pytest

from governance.exchange import Exchange, Phase
from governance.history.ledger import Judgement, Keeping, Ledger, Spoke, Tally
from governance.history.store import SqlShelf
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.store import Store, StoreError, open_store
from governance.verdict import Verdict
from tests.conftest import ManualClock
from tests.governance.policy.calls import NOON, call, policy_of

RULES = """
- {id: writes, match: {tool: write_*}, decide: hold}
- {id: notes, match: {tool: "*"}, decide: warn}
- {id: never, match: {tool: drop}, decide: deny}
- {id: tried, match: {server: files}, decide: deny, mode: shadow}
"""
KEEP = Keeping(facts=True, arguments=True, days=1, most=100)


@pytest.fixture
async def store(database_url: str) -> AsyncGenerator[Store]:
    async with open_store(database_url) as opened:
        yield opened


def named(number: int, **given: str) -> Exchange:
    return replace(call(**given), id=f"exc_{number:04}")


def ask(ledger: Ledger, policy: Policy, exchange: Exchange) -> None:
    heard: list[Verdict] = []
    verdict = policy.judge(exchange, Phase.REQUEST, lambda: Around(NOON, 0), heard)
    ledger.hear(exchange, Phase.REQUEST, verdict, heard, lambda: Around(NOON, 0))


async def counted(store: Store, tenant: str | None = None) -> dict[tuple[str, str, str], int]:
    found = await SqlShelf(store).counts("2026-01-01T00", tenant=tenant)
    return {(one.spoke.rule, one.spoke.part, one.spoke.decision): one.count for one in found}


async def test_it_is_counted_how_often_each_rule_spoke_and_in_which_way(store: Store, clock: ManualClock) -> None:
    policy, ledgers = policy_of(RULES), [Ledger(SqlShelf(store), clock, Keeping()) for _ in range(2)]
    for number, ledger in enumerate(ledgers):
        ask(ledger, policy, named(number))
        ask(ledger, policy, named(10 + number, tool="drop", tenant="acme"))
        await ledger.flush()
    assert await counted(store) == {
        ("writes", "fitted", "hold"): 2,
        ("writes", "decided", "hold"): 2,
        ("notes", "fitted", "warn"): 4,
        ("never", "fitted", "deny"): 2,
        ("never", "decided", "deny"): 2,
        ("tried", "shadow", "deny"): 4,
    }
    assert (await counted(store, "acme"))["tried", "shadow", "deny"] == 2
    shadow = [one for one in await SqlShelf(store).counts("2026", tenant="acme") if one.spoke.part == "shadow"]
    assert shadow[0].examples == ("exc_0011",)


async def test_a_call_that_is_judged_again_after_its_approval_counts_once(store: Store, clock: ManualClock) -> None:
    policy, ledger = policy_of(RULES), Ledger(SqlShelf(store), clock, KEEP)
    ask(ledger, policy, named(1))
    ask(ledger, policy, named(1))
    await ledger.flush()
    assert (await counted(store))["writes", "decided", "hold"] == 1
    assert list(await SqlShelf(store).judgements(["exc_0001"])) == [("exc_0001", "request")]


async def test_nothing_is_kept_unless_it_is_wanted(store: Store, clock: ManualClock) -> None:
    ledger = Ledger(SqlShelf(store), clock, Keeping())
    ask(ledger, policy_of(RULES), named(1))
    await ledger.flush()
    assert not ledger.labels
    assert await SqlShelf(store).judgements(["exc_0001"]) == {}


async def test_a_judgement_is_kept_with_what_was_decided(store: Store, clock: ManualClock) -> None:
    policy, ledger = policy_of(RULES), Ledger(SqlShelf(store), clock, KEEP)
    ask(ledger, policy, named(1, tool="drop"))
    await ledger.flush()
    (one,) = (await SqlShelf(store).judgements(["exc_0001", "exc_0002"])).values()
    assert (one.version, one.decision, one.rule) == (policy.version, "deny", "never")
    assert '"name":"drop"' in one.scene


async def test_what_is_old_or_too_much_is_deleted(store: Store, clock: ManualClock) -> None:
    shelf = SqlShelf(store)
    times = [f"2026-11-21T12:00:{number // 10:02}.{number % 10}00000Z" for number in range(300)]
    few = [Judgement(f"exc_{n:04}", "request", at, "v", "allow", "", "{}") for n, at in enumerate(times)]
    old = Judgement("exc_old", "request", "2026-11-01T12:00:00.000000Z", "v", "allow", "", "{}")
    counts = {Spoke(hour, "", "r", "fitted", "deny"): Tally(1) for hour in ("2026-01-01T00", "2026-11-21T12")}
    await shelf.add(counts, [old, *few])
    await Ledger(shelf, clock, KEEP).prune()
    assert await shelf.kept() == (100, times[200])
    assert [one.spoke.hour for one in await shelf.counts("2025")] == ["2026-11-21T12"]


class Stuck:
    """A database that does nothing, until it is let."""

    def __init__(self, shelf: SqlShelf) -> None:
        self.shelf = shelf
        self.works = False

    async def add(self, counts: Mapping[Spoke, Tally], judgements: Sequence[Judgement]) -> None:
        if not self.works:
            raise StoreError("the disk is full")
        await self.shelf.add(counts, judgements)

    async def prune(self, *, counts_before: str, judgements_before: str, most: int) -> int:
        raise StoreError("the disk is full")


async def test_what_could_not_be_written_is_written_later(store: Store, clock: ManualClock) -> None:
    stuck = Stuck(SqlShelf(store))
    policy, ledger = policy_of(RULES), Ledger(stuck, clock, KEEP)
    ask(ledger, policy, named(1))
    await ledger.flush()
    ask(ledger, policy, named(2))
    await ledger.flush()
    await ledger.prune()
    stuck.works = True
    await ledger.flush()
    assert (await counted(store))["writes", "decided", "hold"] == 2
    assert len(await stuck.shelf.judgements(["exc_0001", "exc_0002"])) == 2
    shadow = [one for one in await stuck.shelf.counts("2026") if one.spoke.part == "shadow"]
    assert shadow[0].examples == ("exc_0001", "exc_0002")
