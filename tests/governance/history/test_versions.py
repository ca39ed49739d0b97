"""What differs between two policies, and how a version is named."""

from collections.abc import AsyncGenerator

import pytest

from governance.history.store import SqlVersions
from governance.history.versions import Change, RuleChange, UnknownVersionError, difference, version_called
from governance.policy.load import Source, compile_sources
from governance.store import Store, open_store
from tests.conftest import ManualClock

BEFORE = """\
version: 1
rules:
  - {id: reads, match: {server: files, tool: read_*}, decide: allow}
  - {id: pays, match: {tool: pay, args: {/amount: {gt: 100}}}, decide: hold}
"""
AFTER = """\
version: 1
default: deny
rules:
  # stricter
  - {id: pays, match: {tool: pay, args: {/amount: {gt: 50}}}, decide: deny}
  - {id: never, match: {tool: drop}, decide: deny}
"""


def files(text: str, name: str = "policy.yaml") -> list[Source]:
    return [(name, text)]


@pytest.fixture
async def store(database_url: str) -> AsyncGenerator[Store]:
    async with open_store(database_url) as opened:
        yield opened


async def keep(store: Store, clock: ManualClock, text: str, by: str = "mcp") -> str:
    policy = compile_sources(files(text))
    work = SqlVersions(store).taken_up(policy.version, files(text), rules=len(policy.rules), by=by, at=clock.now())
    await store.write(work)
    return policy.version


def test_a_difference_is_told_by_rule_and_by_line() -> None:
    found = difference(files(BEFORE), files(AFTER))
    assert found.rules == (
        RuleChange("default", "changed", (Change("decide", "allow", "deny"),)),
        RuleChange("pays", "changed", (Change("decide", "hold", "deny"), Change("match.args./amount.gt", "100", "50"))),
        RuleChange("never", "added", (Change("decide", None, "deny"), Change("match.tool", None, '["drop"]'))),
        RuleChange(
            "reads",
            "removed",
            (
                Change("decide", "allow", None),
                Change("match.server", '["files"]', None),
                Change("match.tool", '["read_*"]', None),
            ),
        ),
    )
    assert "+  # stricter" in found.text
    assert "+default: deny" in found.text


def test_a_comment_is_a_difference_of_the_text_alone() -> None:
    found = difference(files(BEFORE), files("# a comment\n" + BEFORE))
    assert (found.rules, found.anything) == ((), True)
    assert not difference(files(BEFORE), files(BEFORE)).anything


def test_the_lines_of_a_policy_that_cannot_be_used_any_more_are_still_compared() -> None:
    found = difference(files(BEFORE.replace("hold", "frown")), files(BEFORE))
    assert found.rules == ()
    assert "policy.yaml:4" in found.unread
    assert any("frown" in line for line in found.text)


def test_a_file_that_only_one_side_has_is_told_whole() -> None:
    found = difference(files(BEFORE), [*files(BEFORE), *files("version: 1\n", "more.yaml")])
    assert found.text[:3] == ("--- /dev/null", "+++ more.yaml", "@@ -0,0 +1 @@")


async def test_each_policy_is_kept_once_and_the_newest_comes_first(store: Store, clock: ManualClock) -> None:
    first = await keep(store, clock, BEFORE)
    clock.advance(60)
    second = await keep(store, clock, AFTER, by="gateway")
    clock.advance(60)
    assert await keep(store, clock, "# again\n" + BEFORE, by="gateway") == first
    listed = await SqlVersions(store).listed()
    assert [(one.version, one.loads, one.first_by, one.last_by, one.rules) for one in listed] == [
        (first, 2, "mcp", "gateway", 2),
        (second, 1, "gateway", "gateway", 2),
    ]
    assert listed[0].first_at < listed[1].first_at < listed[0].last_at
    assert listed[0].sources[0][1].startswith("# again")


async def test_a_version_is_named_by_its_beginning(store: Store, clock: ManualClock) -> None:
    versions = SqlVersions(store)
    first = await keep(store, clock, BEFORE)
    assert (await version_called(versions, first[:8])).version == first
    assert (await version_called(versions, first)).version == first
    for name, said in (("%%%%%%%%", "was ever in force"), (first[:3], "too short"), ("f" * 64, "was ever in force")):
        with pytest.raises(UnknownVersionError, match=said):
            await version_called(versions, name)


async def test_a_name_that_fits_two_versions_is_not_guessed(store: Store, clock: ManualClock) -> None:
    versions = SqlVersions(store)
    for version in ("aaaaaaaa1", "aaaaaaaa2"):
        await store.write(versions.taken_up(version, files(BEFORE), rules=2, by="mcp", at=clock.now()))
    with pytest.raises(UnknownVersionError, match="more than one"):
        await version_called(versions, "aaaaaaaa")


async def test_it_is_kept_who_brought_a_version_back_and_why(store: Store, clock: ManualClock) -> None:
    versions = SqlVersions(store)
    first = await keep(store, clock, BEFORE)
    await store.write(versions.brought_back(first, actor="cli:ann", reason="too strict", at=clock.now()))
    (one,) = await versions.listed()
    assert (one.actor, one.reason, one.rolled_back_at is not None) == ("cli:ann", "too strict", True)
