"""What a person may change of a call, and how the change is told."""

import pytest
from hypothesis import given

from approvals.amendment import AmendmentError, amended, arguments_of, changes, told
from approvals.desk import Desk
from approvals.ticket import binding
from governance import jsontree
from governance.exchange import Action
from governance.jsontree import Json, JsonObject
from tests.approvals.calls import HOLD, tool_call
from tests.approvals.test_ticket import json_values


def test_a_change_is_told_by_place_with_what_was_and_what_is() -> None:
    before: JsonObject = {"to": "all", "list": [1, 2], "a/b": {"deep": None}, "gone": "x"}
    after: JsonObject = {"to": "one", "list": [1, 3], "a/b": {"deep": False}, "new": {}}
    assert told(changes(before, after)).removeprefix("a person changed the arguments of this call: ").split("; ") == [
        '/to was "all", and is "one"',
        "/list/1 was 2, and is 3",
        "/a~1b/deep was null, and is false",
        '/gone was removed (it was "x")',
        "/new was added: {}",
    ]


def test_a_list_of_another_length_is_told_as_a_whole() -> None:
    assert [one.pointer for one in changes({"l": [1, 2]}, {"l": [2]})] == ["/l"]


def test_what_is_told_is_bounded() -> None:
    before, after = (dict[str, Json]({str(n): char * 100_000 for n in range(1000)}) for char in "ab")
    text = told(changes(before, after))
    assert len(text) < 20_000
    assert text.endswith("and 980 more")


@given(json_values, json_values)
def test_there_is_a_change_exactly_where_the_digests_differ(before: Json, after: Json) -> None:
    assert bool(changes(before, after)) == (jsontree.digest(before) != jsontree.digest(after))


@pytest.mark.parametrize("text", ["", "[]", "1", '{"a":1,"a":2}', '{"a":NaN}', "{" * 200, '{"a":"\\ud800"}', "\udc80"])
def test_what_is_no_json_object_is_refused_in_words(text: str) -> None:
    with pytest.raises(AmendmentError, match="the arguments"):
        arguments_of(text)


async def test_only_a_tool_call_has_arguments_to_change(desk: Desk) -> None:
    for action in (Action.LLM_GENERATE, Action.RESOURCE_READ):
        with pytest.raises(AmendmentError, match="only the arguments of a tool call"):
            amended({"action": action.value, "arguments": {}}, {})
    with pytest.raises(AmendmentError, match="only the arguments of a tool call"):
        amended(binding(tool_call([1]), "v1"), {})


async def test_a_denial_leaves_the_change_out_and_a_second_look_is_asked_for(desk: Desk) -> None:
    ticket = (await desk.hold(tool_call(), HOLD)).ticket
    stale = await desk.approve(ticket, by="ann", digest="0" * 64, arguments={"path": "/tmp/b"})
    assert stale is not None
    assert (stale.made, stale.ticket.edited_form) == (False, "")
    denied = await desk.deny(ticket, by="ann")
    assert denied is not None
    assert (denied.made, denied.ticket.edited_digest) == (True, "")


async def test_a_changed_ticket_comes_back_as_it_was_kept(desk: Desk) -> None:
    ticket = (await desk.hold(tool_call(), HOLD)).ticket
    arguments: JsonObject = {"path": "\u202e/tmp/b", "n": 2**60 + 1}
    decided = await desk.approve(ticket, by="ann", arguments=arguments)
    assert decided is not None
    kept = decided.ticket
    assert kept.edited_arguments == arguments
    assert kept.arguments == {"path": "/tmp/a", "n": 1}
    assert kept.intact()
    assert kept.current == kept.edited_digest == kept.votes[0].digest != kept.digest
    assert (await desk.hold(tool_call(), HOLD)).arguments == arguments
