"""The policy in force follows its files; a broken one never replaces a good one, and is said loudly."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from governance.policy.holder import Policies, PolicyEvent, open_policies
from governance.policy.load import PolicyError
from governance.verdict import Decision
from tests.governance.policy.calls import call, judge

ALLOW = "version: 1\n"
DENY = "version: 1\nrules:\n  - {id: never, decide: deny}\n"
BROKEN = "version: 1\nrules:\n  - {id: never, decide: dney}\n"


class News:
    """Collects what is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[PolicyEvent] = []
        self.told = anyio.Event()

    async def __call__(self, event: PolicyEvent) -> None:
        self.events.append(event)
        self.told.set()

    async def next(self) -> PolicyEvent:
        with anyio.fail_after(5):
            await self.told.wait()
        self.told = anyio.Event()
        return self.events[-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(ALLOW)
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text)


def remove(path: Path) -> None:
    path.unlink()


@asynccontextmanager
async def following(policies: Policies) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: policies.follow(every=0.005))
        yield
        group.cancel_scope.cancel()


async def test_a_policy_that_is_wrong_at_the_start_does_not_open(path: Path) -> None:
    write(path, BROKEN)
    news = News()
    with pytest.raises(PolicyError, match=r"policy\.yaml:3"):
        await open_policies([path], news)
    assert news.events == []


async def test_opening_tells_which_policy_is_in_force(path: Path) -> None:
    news = News()
    policies = await open_policies([path], news)
    assert news.events == [PolicyEvent(loaded=True, version=policies.current.version, files=(str(path),))]


async def test_a_change_of_a_file_comes_into_force_by_itself(path: Path) -> None:
    news = News()
    policies = await open_policies([path], news)
    await news.next()
    async with following(policies):
        write(path, DENY)
        event = await news.next()
    assert event.loaded
    assert event.version == policies.current.version
    assert judge(policies.current, call()).decision is Decision.DENY


async def test_a_broken_file_keeps_the_last_good_policy_and_is_said_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, DENY)
    news = News()
    policies = await open_policies([path], news)
    good = policies.current
    write(path, BROKEN)
    with caplog.at_level(logging.ERROR):
        event = await policies.reload()
        again = await policies.reload()
    assert event is not None
    assert (event.loaded, event.version) == (False, good.version)
    assert "policy.yaml:3: `rules[0].decide` of rule `never` must be" in event.problems[0]
    assert again is None
    assert policies.current is good
    assert len(caplog.records) == 1
    assert "stays in force" in caplog.text


async def test_a_file_that_vanishes_keeps_the_last_good_policy(path: Path) -> None:
    write(path, DENY)
    policies = await open_policies([path], News())
    remove(path)
    event = await policies.reload()
    assert event is not None
    assert not event.loaded
    assert judge(policies.current, call()).decision is Decision.DENY


async def test_a_mended_file_comes_into_force(path: Path) -> None:
    news = News()
    policies = await open_policies([path], news)
    await news.next()
    async with following(policies):
        write(path, BROKEN)
        assert not (await news.next()).loaded
        write(path, DENY)
        assert (await news.next()).loaded
    assert judge(policies.current, call()).decision is Decision.DENY


async def test_a_change_of_comments_is_no_news(path: Path) -> None:
    news = News()
    policies = await open_policies([path], news)
    write(path, "# a comment\n" + ALLOW)
    assert await policies.reload() is None
    assert len(news.events) == 1


async def test_rules_that_could_not_be_recorded_are_not_in_force(path: Path) -> None:
    async def unwritable(event: PolicyEvent) -> None:
        raise OSError("the log is full")

    good = await open_policies([path], News())
    policies = Policies([path], good.current, unwritable)
    write(path, DENY)
    with pytest.raises(OSError, match="the log is full"):
        await policies.reload()
    assert policies.current is good.current
