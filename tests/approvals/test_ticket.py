"""The moves a ticket may make, and what a decision is bound to."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.ticket import MOVES, OPEN, Move, State, allowed, binding, draft
from governance import jsontree
from governance.audit.event import Tag
from governance.exchange import Action, Body, Exchange, Principal, SessionRef
from governance.jsontree import Json
from tests.approvals.calls import AT, ticket_of, tool_call


def digest(exchange: Exchange, version: str = "v1") -> str:
    return jsontree.digest(binding(exchange, version))


def test_only_the_moves_of_the_table_exist() -> None:
    possible = {
        (move, state, overdue)
        for move, state, overdue in itertools.product(Move, State, (False, True))
        if allowed(move, state, overdue=overdue)
    }
    assert possible == {
        (Move.APPROVE, State.PENDING, False),
        (Move.DENY, State.PENDING, False),
        (Move.CONSUME, State.APPROVED, False),
        (Move.PROLONG, State.APPROVED, False),
        (Move.EXPIRE, State.PENDING, True),
        (Move.EXPIRE, State.APPROVED, True),
        (Move.VOTE, State.PENDING, False),
        (Move.REMIND, State.PENDING, False),
        (Move.ESCALATE, State.PENDING, False),
        (Move.INVALIDATE, State.PENDING, False),
        (Move.INVALIDATE, State.PENDING, True),
        (Move.INVALIDATE, State.APPROVED, False),
        (Move.INVALIDATE, State.APPROVED, True),
    }


def test_a_closed_ticket_makes_no_move() -> None:
    closed = set(State) - OPEN
    assert not any(step.sources & closed for step in MOVES.values())


@pytest.mark.parametrize(
    "other",
    [
        tool_call({"path": "/tmp/b", "n": 1}),
        tool_call({"path": "/tmp/a", "n": "1"}),
        tool_call({"path": "/tmp/a", "n": 1, "mode": None}),
        tool_call({"path": "/tmp/a"}),
        tool_call(server="other"),
        tool_call(name="delete_file"),
        tool_call(definition="e" * 64),
        tool_call(session="ses_2"),
        replace(tool_call(), principal=Principal("key_2", tenant="acme", agent="builder", user="ann")),
        replace(tool_call(), principal=Principal("key_1", tenant="umbrella", agent="builder", user="ann")),
        replace(tool_call(), principal=Principal("key_1", tenant="acme", agent="builder", user="bob")),
        replace(tool_call(), action=Action.PROMPT_GET),
    ],
)
def test_any_change_of_the_call_is_another_call(other: Exchange) -> None:
    assert digest(other) != digest(tool_call())


def test_what_goes_along_with_the_arguments_is_covered_too() -> None:
    call = tool_call()
    value = jsontree.as_object(call.request.value)
    params = jsontree.as_object(value["params"])

    def carrying(**more: Json) -> Exchange:
        return replace(call, request=Body({**value, "params": {**params, **more}}))

    answered = carrying(inputResponses={"sure": {"action": "accept"}}, requestState="s")
    assert digest(answered) not in (digest(call), digest(carrying(task={"ttl": 1})))
    assert ticket_of(answered).beside == {"inputResponses": {"sure": {"action": "accept"}}, "requestState": "s"}
    assert digest(carrying(_meta={"progressToken": 1})) == digest(call)
    assert ticket_of(call).beside is None


def test_another_version_of_the_policy_is_another_call() -> None:
    assert digest(tool_call(), "v2") != digest(tool_call(), "v1")


def test_integers_count_to_the_last_digit() -> None:
    assert digest(tool_call({"n": 2**60})) != digest(tool_call({"n": 2**60 + 1}))


def test_member_order_and_a_trailing_point_zero_do_not_count() -> None:
    assert digest(tool_call({"a": 1, "b": 2})) == digest(tool_call({"b": 2.0, "a": 1}))


def test_the_same_call_made_again_is_the_same_whatever_its_message_id() -> None:
    again = replace(tool_call(), id="exc_2", at=AT + timedelta(seconds=90), session=SessionRef("ses_1", "transport", 6))
    again = replace(again, request=Body({**jsontree.as_object(again.request.value), "id": 8}))
    assert digest(again) == digest(tool_call())


def test_a_resource_read_is_bound_to_its_params_without_the_transports_meta() -> None:
    def read(uri: str, number: int) -> Exchange:
        params: Json = {"uri": uri, "_meta": {"progressToken": number}}
        message: Json = {"jsonrpc": "2.0", "id": number, "method": "resources/read", "params": params}
        return replace(tool_call(), action=Action.RESOURCE_READ, request=Body(message))

    assert digest(read("file:///a", 1)) == digest(read("file:///a", 2))
    assert digest(read("file:///a", 1)) != digest(read("file:///b", 1))


def test_a_model_call_is_bound_to_its_whole_body() -> None:
    def ask(body: Json) -> Exchange:
        return replace(tool_call(provider="openai", model="m"), action=Action.LLM_GENERATE, request=Body(body))

    assert digest(ask({"model": "m", "messages": []})) != digest(ask({"model": "m", "messages": [], "stream": True}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_what_a_person_is_shown_is_what_the_digest_covers(arguments: dict[str, Json]) -> None:
    ticket = ticket_of(tool_call(arguments))
    assert ticket.arguments == arguments
    assert ticket.intact()
    assert not replace(ticket, form=ticket.form.replace("files", "flies", 1)).intact()


def test_the_event_of_a_ticket_has_the_digest_of_the_call_and_none_of_its_text() -> None:
    ticket = ticket_of(tool_call({"path": "/tmp/very-secret"}))
    event = draft(Tag.APPROVAL_REQUESTED, ticket)
    assert "very-secret" not in repr(event)
    assert event.fields["approval_digest"] == ticket.digest
    assert event.fields["arguments_digest"] == jsontree.digest({"path": "/tmp/very-secret"})
