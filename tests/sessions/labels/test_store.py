"""`sessions.labels.store`: the table of labels, on both databases, between two processes."""

import anyio

from governance.store import open_store
from sessions.labels.book import Label
from sessions.labels.store import SqlLabels

AT = "2026-11-21T12:00:00.000000Z"


def label(name: str, source: str = "server:web", exchange: str = "exc_1") -> Label:
    return Label(name, source, exchange, AT)


async def test_what_one_process_adds_the_other_sees_at_once(database_url: str) -> None:
    async with open_store(database_url) as one, open_store(database_url) as other:
        ours, theirs = SqlLabels(one), SqlLabels(other)
        assert await theirs.newest() == 0
        await one.write(ours.add("ses_1", [label("secret"), label("mine")]))
        assert await theirs.newest() == 2
        await one.write(ours.add("ses_2", [label("secret")]))
        assert await theirs.of("ses_1") == (3, frozenset({"secret", "mine"}))
        assert await theirs.since(1) == (3, [("ses_1", "mine"), ("ses_2", "secret")])


async def test_a_label_keeps_what_first_set_it(database_url: str) -> None:
    async with open_store(database_url) as store:
        labels = SqlLabels(store)
        await store.write(labels.add("ses_1", [label("secret")]))
        await store.write(labels.add("ses_1", [label("mine"), label("secret", "rule:late", "exc_2")]))
        assert await labels.listed(["ses_1", "ses_2"]) == {"ses_1": [label("secret"), label("mine")]}


async def test_the_labels_of_very_many_runs_are_listed(database_url: str) -> None:
    async with open_store(database_url) as store:
        labels = SqlLabels(store)
        await store.write(labels.add("ses_69999", [label("secret")]))
        assert list(await labels.listed(f"ses_{number}" for number in range(70_000))) == ["ses_69999"]


async def test_labels_added_at_once_by_two_processes_each_have_a_place(database_url: str) -> None:
    async with open_store(database_url) as one, open_store(database_url) as other:
        tables = (SqlLabels(one), SqlLabels(other))
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                store = (one, other)[number % 2]
                work = tables[number % 2].add(f"ses_{number % 8}", [label("secret"), label(f"label_{number}")])
                tasks.start_soon(store.write, work)
        assert await tables[0].newest() == 48
        assert len((await tables[1].since(0))[1]) == 48
