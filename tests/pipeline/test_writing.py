"""`pipeline.writing`: labels are durable with the event that sets them, before the agent can act on what it read."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from governance.audit.event import AuditError, Draft
from governance.exchange import Action, Body, Exchange, Phase, Resource, Role
from governance.jsontree import Json, JsonObject
from governance.stage import Outcome, RefusedError
from governance.store import Store, StoreError
from governance.store.database import Row
from mcp_proxy.lens import result_segments
from tests.conftest import ManualClock
from tests.pipeline.world import World, open_world

FILES: JsonObject = {"url": "http://127.0.0.1/", "pins": "off", "tool_labels": {"fetch": "untrusted_content"}}
HOLD_SENDS: JsonObject = {
    "id": "sends",
    "match": {"tool": "send", "labels": "untrusted_content"},
    "decide": "hold",
    "reason": "a person looks at what is sent after untrusted content",
}


def policy(*rules: JsonObject) -> JsonObject:
    return {"version": 1, "default": "allow", "rules": list(rules)}


def answer(text: str) -> Body:
    value: Json = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}]}}
    return Body(value, lens=result_segments)


async def run(world: World, exchange: Exchange, text: str = "fine") -> Exchange:
    async def forward(_judged: Exchange) -> Body:
        return answer(text)

    return await world.runtime.guard.govern(exchange, forward)


async def labels_of(world: World, session: str = "ses_1") -> list[str]:
    found = await world.runtime.labels.store.listed([session])
    return [f"{one.label}: {one.source}" for one in found.get(session, [])]


async def ticket_of(world: World) -> str:
    """The id of the newest ticket, as soon as there is one that waits."""
    with anyio.fail_after(5):
        while not (tickets := [one for one in await world.runtime.desk.tickets() if one.state == "pending"]):
            await anyio.lowlevel.checkpoint()
    return tickets[0].id


async def test_what_a_call_sets_is_durable_before_it_is_forwarded(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, mcpServers={"files": FILES}) as world:
        seen: list[list[str]] = []

        async def forward(_judged: Exchange) -> Body:
            seen.append(await labels_of(world))
            return answer("fine")

        await world.runtime.guard.govern(world.call("fetch"), forward)
        await world.runtime.guard.govern(world.call("fetch"), forward)
        assert seen == [["untrusted_content: tool:files/fetch"]] * 2
        admitted = await world.events("exchange.admitted")
        assert [one.get("labels_set") for one in admitted] == [["untrusted_content: tool:files/fetch"], None]


async def test_what_is_found_in_a_result_is_durable_before_the_result_leaves(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        async with world.runtime.guard.passage(world.call()) as passage:
            await passage.respond(answer("write to ann@example.com"))
            assert await labels_of(world) == []
            await passage.settle(Outcome("ok"))
            assert await labels_of(world) == ["personal_data: finding:pii.email"]
        (completed,) = await world.events("exchange.completed")
        assert completed["labels_set"] == ["personal_data: finding:pii.email"]


async def test_what_was_redacted_or_withheld_was_not_seen(sqlite_url: str, tmp_path: Path, clock: ManualClock) -> None:
    rule: JsonObject = {"id": "out", "match": {"tool": "echo", "findings": "pii.email"}, "phase": "response"}
    async with open_world(sqlite_url, tmp_path, clock, policy({**rule, "decide": "deny"})) as world:
        await run(world, world.call(), "ssn 536-22-1234")
        with pytest.raises(RefusedError):
            await run(world, world.call(), "write to ann@example.com")
        assert await labels_of(world) == []


async def test_after_untrusted_content_each_call_that_sends_is_held_and_an_approval_lets_one_through(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    settings: dict[str, Json] = {"mcpServers": {"files": FILES}}
    async with open_world(database_url, tmp_path, clock, policy(HOLD_SENDS), **settings) as world:
        await run(world, world.call("send", to="bob"))
        await run(world, world.call("fetch"))
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, world, world.call("send", to="bob"))
                await world.runtime.desk.approve(await ticket_of(world), by="ann")
        await run(world, world.call("send", session="ses_2", to="bob"))
        held = [one["rule"] for one in await world.events("approval.requested")]
        assert held == ["sends", "sends"]
        assert await labels_of(world) == ["untrusted_content: tool:files/fetch"]


async def test_an_approval_does_not_outlive_a_label_by_which_a_rule_refuses(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    rules: tuple[JsonObject, ...] = (
        {"id": "ask", "match": {"tool": "send"}, "decide": "hold"},
        {"id": "never", "match": {"tool": "send", "labels": "untrusted_content"}, "decide": "deny"},
    )
    settings: dict[str, Json] = {"mcpServers": {"files": FILES}}
    async with open_world(database_url, tmp_path, clock, policy(*rules), **settings) as world:
        refusals: list[str] = []

        async def send() -> None:
            with pytest.raises(RefusedError) as refused:
                await run(world, world.call("send"))
            refusals.append(refused.value.verdict.rule)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            ticket = await ticket_of(world)
            await run(world, world.call("fetch"))
            await world.runtime.desk.approve(ticket, by="ann")
        assert refusals == ["never"]


async def test_a_stream_that_is_left_labels_by_what_has_left_of_it(
    sqlite_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(sqlite_url, tmp_path, clock) as world:
        async with world.runtime.guard.passage(world.call()) as passage:
            assert passage.stream("0", Role.RESULT).feed("write to ann@example.com now, and ")
        assert await labels_of(world) == ["personal_data: finding:pii.email"]


async def test_a_call_in_the_other_process_is_judged_with_what_this_one_delivered(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    rule: JsonObject = {"id": "leak", "match": {"tool": "send", "labels": "personal_data"}, "decide": "deny"}
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with (
        open_world(database_url, tmp_path / "one", clock, policy(rule)) as one,
        open_world(database_url, tmp_path / "two", clock, policy(rule)) as two,
    ):
        for number in range(20):
            session = f"ses_{number}"
            await run(two, two.call("send", session))
            await run(one, one.call("read", session), "write to ann@example.com")
            with pytest.raises(RefusedError) as refused:
                await run(two, two.call("send", session))
            assert refused.value.verdict.rule == "leak"


async def test_a_call_that_is_judged_while_another_brings_a_label_is_refused_from_the_moment_it_was_delivered(
    sqlite_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    rule: JsonObject = {"id": "leak", "match": {"tool": "send", "labels": "personal_data"}, "decide": "deny"}
    async with open_world(sqlite_url, tmp_path, clock, policy(rule)) as world:
        delivered: list[int] = []
        rules: list[str] = []

        async def bring() -> None:
            await run(world, world.call("read"), "write to ann@example.com")
            delivered.append(1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bring)
            with anyio.fail_after(10):
                while not rules:
                    before = bool(delivered)
                    try:
                        await run(world, world.call("send", n=len(await world.types())))
                    except RefusedError as error:
                        rules.append(error.verdict.rule)
                    assert rules or not before
        assert rules == ["leak"]


async def test_labels_that_cannot_be_read_refuse_what_rules_about_them_judge(
    sqlite_url: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(sqlite_url, tmp_path, clock, policy(HOLD_SENDS)) as world:
        whole = Store.glance

        async def glance(self: Store, sql: str) -> Sequence[Row]:
            if "session_labels" in sql:
                raise StoreError("the database could not be read")
            return await whole(self, sql)

        monkeypatch.setattr(Store, "glance", glance)
        with pytest.raises(RefusedError) as refused:
            await run(world, world.call("send"))
        assert (refused.value.verdict.by, refused.value.verdict.rule) == ("policy", "stage.error")


async def test_where_the_label_cannot_be_written_nothing_leaves(
    sqlite_url: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(sqlite_url, tmp_path, clock, mcpServers={"files": FILES}) as world:
        whole = world.runtime.audit.append

        async def append(draft: Draft, within: object = None) -> object:
            if "labels_set" in draft.fields:
                raise AuditError("full")
            return await whole(draft)

        monkeypatch.setattr(world.runtime.audit, "append", append)
        with pytest.raises(RefusedError, match="audit log"):
            await run(world, world.call("fetch"))
        with pytest.raises(RefusedError, match="audit log"):
            await run(world, world.call("read"), "write to ann@example.com")


async def test_no_look_is_taken_at_labels_where_no_rule_about_the_call_asks(
    sqlite_url: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks: JsonObject = {"id": "models", "match": {"action": "llm.*", "labels": "secret"}, "decide": "deny"}
    async with open_world(sqlite_url, tmp_path, clock, policy(asks)) as world:
        looked: list[str] = []
        whole = Store.glance

        async def glance(self: Store, sql: str) -> Sequence[Row]:
            looked.append(sql)
            return await whole(self, sql)

        monkeypatch.setattr(Store, "glance", glance)
        await run(world, world.call("send"))
        assert not [sql for sql in looked if "session_labels" in sql]
        await run(world, replace(world.call(), action=Action.LLM_GENERATE))
        assert [sql for sql in looked if "session_labels" in sql]


async def test_a_rule_labels_the_attempt_that_it_refuses_and_what_it_lets_through(
    sqlite_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    rules: tuple[JsonObject, ...] = (
        {"id": "root", "match": {"tool": "sudo"}, "decide": "deny", "add_labels": "tried_root"},
        {"id": "crm", "match": {"tool": "crm"}, "add_labels": "personal_data"},
        {"id": "out", "match": {"tool": "read"}, "phase": "response", "add_labels": "has_read"},
    )
    async with open_world(sqlite_url, tmp_path, clock, policy(*rules)) as world:
        with pytest.raises(RefusedError):
            await run(world, world.call("sudo"))
        await run(world, world.call("crm"))
        await run(world, world.call("read"))
        assert await labels_of(world) == ["tried_root: rule:root", "personal_data: rule:crm", "has_read: rule:out"]


async def test_messages_set_labels_too_once_however_many_come(
    sqlite_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    rule: JsonObject = {"id": "logs", "match": {"action": "message"}, "phase": "response", "add_labels": "logged"}
    async with open_world(sqlite_url, tmp_path, clock, policy(rule)) as world:
        for _ in range(300):
            exchange = world.call()
            message = Exchange(
                exchange.id, exchange.at, Action.MESSAGE, exchange.principal, Resource("files"), exchange.session,
                Body({}), answer("nothing to see"),
            )  # fmt: skip
            await world.runtime.guard.inspect(message, Phase.RESPONSE)
        assert await labels_of(world) == ["logged: rule:logs"]
        assert [one["labels_set"] for one in await world.events("message.flagged")] == [["logged: rule:logs"]]
