"""`sessions.labels.book`: what sets labels, and that nobody is judged without one that was durable."""

from collections.abc import Iterable
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from governance.config.models import Config
from governance.exchange import Action, Body, Exchange, Phase, Principal, Resource, SessionRef
from governance.jsontree import Json
from governance.store import StoreError, Work
from governance.verdict import Decision, Finding, Verdict
from sessions.labels import book
from sessions.labels.book import Entry, Label, Labels, Sources


class Table:
    """The table in memory: each read is a moment of its own, and may be held up after it was made."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.reads: list[str] = []
        self.gate: anyio.Event | None = None

    async def _moment(self, what: str) -> None:
        self.reads.append(what)
        if self.gate is not None:
            await self.gate.wait()

    async def newest(self) -> int:
        return len(self.rows)

    async def since(self, epoch: int) -> tuple[int, list[tuple[str, str]]]:
        found = len(self.rows), self.rows[epoch:]
        await self._moment("since")
        return found

    async def of(self, session_id: str) -> tuple[int, frozenset[str]]:
        found = len(self.rows), frozenset(label for run, label in self.rows if run == session_id)
        await self._moment("of")
        return found

    async def listed(self, session_ids: Iterable[str]) -> dict[str, list[Label]]:
        raise NotImplementedError

    def add(self, session_id: str, labels: Iterable[Label]) -> Work[None]:
        return lambda _session: None


def labels_of(table: Table, **settings: Json) -> Labels:
    return Labels(table, Sources.of(Config.model_validate(settings)))


WEB: dict[str, Json] = {
    "web": {
        "url": "https://web.test/mcp",
        "labels": "untrusted_content",
        "tool_labels": {"get_time": [], "inbox_*": ["untrusted_content", "personal_data"], "inbox_size": "sized"},
    }
}


def use(name: str, action: Action = Action.TOOL_CALL, server: str = "web", method: str = "") -> Exchange:
    return Exchange(
        id="exc_1",
        at=datetime(2026, 11, 21, tzinfo=UTC),
        action=action,
        principal=Principal("key_1"),
        resource=Resource(server=server, name=name),
        session=SessionRef("ses_1", "explicit", 1),
        request=Body({}),
        facts={"method": method},
    )


def found(kind: str, action: str = "log", role: str = "result") -> Finding:
    return Finding(kind, "rule", "/x", 0, 1, role=role, action=action)


def told(entry: Entry | None) -> list[str]:
    return [] if entry is None else entry.told


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (use("search"), ["untrusted_content: server:web"]),
        (use("get_time"), []),
        (use("inbox_read"), ["personal_data: tool:web/inbox_*", "untrusted_content: tool:web/inbox_*"]),
        (use("inbox_size"), ["sized: tool:web/inbox_size"]),
        (use("https://x", Action.RESOURCE_READ), ["untrusted_content: server:web"]),
        (use("greeting", Action.PROMPT_GET), ["untrusted_content: server:web"]),
        (use("", Action.SAMPLING_CREATE), ["untrusted_content: server:web"]),
        (use("", Action.ELICITATION_CREATE), ["untrusted_content: server:web"]),
        (use("task:1", Action.RESOURCE_READ, method="tasks/result"), []),
        (use("", Action.TOOL_LIST), []),
        (use("search", server="files"), []),
    ],
)
def test_the_configuration_of_servers_and_tools_sets_labels(exchange: Exchange, expected: list[str]) -> None:
    labels = labels_of(Table(), mcpServers=WEB)
    assert told(labels.due(exchange, Phase.REQUEST, (), (), goes_on=True)) == expected
    assert told(labels.due(exchange, Phase.REQUEST, (), (), goes_on=False)) == []
    assert told(labels.due(exchange, Phase.RESPONSE, (), (), goes_on=True)) == []


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (found("pii.email"), ["personal_data: finding:pii.email"]),
        (found("phi.mrn"), ["personal_data: finding:phi.mrn"]),
        (found("secret.github_token"), ["secret: finding:secret.github_token"]),
        (found("injection.direct"), ["untrusted_content: finding:injection.direct"]),
        (found("injection.direct", "redact"), ["untrusted_content: finding:injection.direct"]),
        (found("pii.ssn", "redact"), []),
        (found("pii.phone"), []),
        (found("pii.card"), ["payment: finding:pii.card"]),
        (found("argument.sql"), []),
        (found("pii.email", role="argument"), []),
        (found("pii.email", role="user"), []),
    ],
)
def test_what_is_found_in_results_and_seen_sets_labels(finding: Finding, expected: list[str]) -> None:
    labels = labels_of(Table(), detect={"labels": {"pii.phone": [], "pii.card": "payment"}})
    for phase in Phase:
        assert told(labels.due(use("x"), phase, (), (finding,), goes_on=True)) == expected
        assert told(labels.due(use("x"), phase, (), (finding,), goes_on=False)) == []


def test_of_what_is_refused_only_the_rule_that_refuses_labels() -> None:
    labels = labels_of(Table())
    allows = Verdict(Decision.ALLOW, "policy", labels=(("read", "a"),))
    denies = Verdict(Decision.DENY, "policy", labels=(("tried", "b"),))
    assert told(labels.due(use("x"), Phase.REQUEST, (allows,), (), goes_on=True)) == ["read: rule:a"]
    assert told(labels.due(use("x"), Phase.REQUEST, (allows, denies), (), goes_on=False)) == ["tried: rule:b"]


def test_a_label_is_written_again_until_it_is_known_to_be_durable() -> None:
    labels = labels_of(Table(), mcpServers=WEB)
    first = labels.due(use("search"), Phase.REQUEST, (), (), goes_on=True)
    again = labels.due(use("search"), Phase.REQUEST, (), (), goes_on=True)
    assert first is not None
    assert told(again) == first.told
    labels.wrote(first)
    assert labels.due(use("search"), Phase.REQUEST, (), (), goes_on=True) is None


async def test_an_empty_table_is_not_read_and_a_known_run_not_twice() -> None:
    table = Table()
    labels = labels_of(table)
    assert await labels.of("ses_1") == frozenset()
    assert table.reads == []
    table.rows.append(("ses_2", "secret"))
    assert [await labels.of("ses_1"), await labels.of("ses_1")] == [frozenset(), frozenset()]
    assert table.reads == ["of"]


async def test_a_label_set_elsewhere_is_seen_by_the_next_look() -> None:
    table = Table()
    labels = labels_of(table)
    table.rows.append(("ses_1", "secret"))
    assert await labels.of("ses_1") == {"secret"}
    table.rows += [("ses_2", "secret"), ("ses_1", "mine")]
    assert await labels.of("ses_1") == {"secret", "mine"}
    assert table.reads == ["of", "since"]


async def test_a_read_that_took_long_does_not_hide_what_was_set_meanwhile() -> None:
    table = Table()
    labels = labels_of(table)
    table.rows.append(("ses_2", "secret"))
    await labels.of("ses_2")
    table.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(labels.of, "ses_1")  # its read is made, and its answer is held up
        await anyio.lowlevel.checkpoint()
        assert table.reads[-1] == "of"
        held, table.gate = table.gate, None
        table.rows.append(("ses_1", "secret"))
        assert await labels.of("ses_1") == {"secret"}
        held.set()
    assert await labels.of("ses_1") == {"secret"}


@pytest.mark.parametrize("most", [0, 1_000])
async def test_labels_never_shrink_however_memory_begins_anew(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_CAUGHT_UP", most)
    monkeypatch.setattr(book, "REMEMBERED", 3)
    table = Table()
    labels = labels_of(table)
    for number in range(60):
        table.rows.append((f"ses_{number % 7}", f"label_{number % 11}"))
        for run in (f"ses_{number % 5}", f"ses_{(number * 3) % 7}"):
            assert await labels.of(run) == {label for one, label in table.rows if one == run}


async def test_a_table_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    class Broken(Table):
        async def newest(self) -> int:
            raise StoreError("the database could not be read")

    with pytest.raises(StoreError):
        await labels_of(Broken()).of("ses_1")


def test_every_label_that_the_configuration_may_set_is_known() -> None:
    config = Config.model_validate({"mcpServers": WEB, "detect": {"labels": {"pii.card": "payment"}}})
    assert Sources.of(config).all == {"untrusted_content", "personal_data", "secret", "sized", "payment"}


async def test_a_run_carries_the_labels_of_every_name_it_went_by_and_of_the_run_that_started_it() -> None:
    table = Table()
    table.rows = [("run", "mine"), ("transport", "secret"), ("parent", "untrusted_content"), ("stranger", "other")]
    labels = labels_of(table)
    session = SessionRef("run", "tool_call", 4, also=("transport",), parent="parent")
    assert await labels.carried_by(session) == {"mine", "secret", "untrusted_content"}
    assert await labels.carried_by(SessionRef("run", "tool_call", 4)) == {"mine"}
