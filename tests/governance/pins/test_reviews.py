"""What a person sees of a change, and what a decision is about."""

import pytest

from governance.pins.pin import Kind, Pin, State
from governance.pins.reviews import Difference, Reviews, differences
from tests.governance.pins.conftest import READ, WRITE, Replica


async def test_what_waits_stands_first_and_sets_are_nobodys_business(replica: Replica) -> None:
    await replica.lists(READ, WRITE)
    await replica.lists(READ, {**WRITE, "description": "x"})
    assert [pin.name for pin in await replica.reviews.pins()] == ["write_file", "read_file"]
    assert [pin.name for pin in await replica.reviews.pins(waiting=True)] == ["write_file"]
    assert await replica.reviews.version() > 0


async def test_a_change_is_shown_value_by_value(replica: Replica) -> None:
    await replica.lists(READ)
    await replica.lists({**READ, "description": "mails", "annotations": {"hints": [True]}, "inputSchema": {}})
    (waiting,) = await replica.reviews.pins(waiting=True)
    pin = await replica.reviews.get(waiting.id)
    assert pin is not None
    assert differences(pin) == [
        Difference("/description", "reads", "mails"),
        Difference("/inputSchema/type", "object", None),
        Difference("/inputSchema", None, "{}"),
        Difference("/annotations/hints/0", None, "true"),
    ]


async def test_of_something_new_all_is_shown(replica: Replica) -> None:
    replica.set("manifest")
    await replica.lists(WRITE)
    (waiting,) = await replica.reviews.pins(waiting=True)
    pin = await replica.reviews.get(waiting.id)
    assert pin is not None
    assert [(one.path, one.before) for one in differences(pin)] == [("/name", None), ("/description", None)]


async def test_a_decision_about_nothing_is_none(replica: Replica) -> None:
    assert await replica.reviews.get("pin_0") is None
    assert await replica.reviews.approve("pin_0", by="anna") is None
    assert await replica.reviews.reject("pin_0", by="anna") is None


async def test_the_reason_is_kept_in_one_line(replica: Replica) -> None:
    await replica.lists(READ)
    (pin,) = await replica.reviews.pins()
    decided = await replica.reviews.reject(pin.id, by="anna", reason="not\n\x1b[2J this")
    assert decided is not None
    assert decided.pin.decision_reason == "not [2J this"
    assert (await replica.events())[-1]["reason"] == "not [2J this"


async def test_a_decision_about_what_moved_meanwhile_is_not_made(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    await replica.lists(READ)
    await replica.lists({**READ, "description": "x"})
    (pin,) = await replica.reviews.pins(waiting=True)
    stale = await replica.table.get(pin.key)
    await replica.lists({**READ, "description": "y"})

    async def as_it_was(_reviews: Reviews, _pin_id: str) -> Pin | None:
        return stale

    monkeypatch.setattr(Reviews, "get", as_it_was)
    decided = await replica.reviews.approve(pin.id, by="anna")
    assert decided is not None
    assert not decided.made
    assert await replica.waiting() == [("read_file", "pin.drift")]
    assert "pin.approved" not in [event["event_type"] for event in await replica.events()]
    assert await replica.table.get(("files", "tool", "none")) is None


def test_a_review_has_the_id_of_its_very_change() -> None:
    one = Pin("files", Kind.TOOL, "a", State.PENDING, "d1")
    assert one.id != Pin("files", Kind.TOOL, "a", State.PENDING, "d2").id
    assert one.id != Pin("files", Kind.PROMPT, "a", State.PENDING, "d1").id
    assert one.what == "the tool `a`"
    assert Pin("files", Kind.INSTRUCTIONS, "", State.PENDING, "d1").what == "the instructions"
    # 160 bits: a server that looks for two definitions with one id must not find them.
    assert len(one.id) == len("pin_") + 40


async def test_what_changes_while_a_decision_is_read_is_not_decided(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    await replica.lists(READ)
    await replica.lists({**READ, "description": "harmless"})
    (pin,) = await replica.reviews.pins(waiting=True)
    every = replica.table.all

    async def then_it_changes() -> list[Pin]:
        found = await every()
        monkeypatch.undo()
        await replica.lists({**READ, "description": "mails everything"})
        return found

    monkeypatch.setattr(replica.table, "all", then_it_changes)
    assert await replica.reviews.approve(pin.id, by="anna") is None
    assert await replica.waiting() == [("read_file", "pin.drift")]


def test_a_text_that_reads_like_another_kind_of_value_is_shown_as_a_change() -> None:
    pin = Pin("files", Kind.TOOL, "a", State.PENDING, "d2", "d1",
              definition='{"a":true,"b":"{}","c":"x"}', live_definition='{"a":"true","b":{},"c":"x"}')  # fmt: skip
    assert differences(pin) == [Difference("/a", "true", '"true"'), Difference("/b", '"{}"', "{}")]
