"""`sessions.proposals` and the joining in `sessions.roll`: a tool call is found among what models asked for."""

import pytest

from governance.exchange import Principal, Proposed
from sessions import proposals
from sessions.killswitch import Scope, targets
from sessions.proposals import KEPT_MINUTES, MOST_OF_KEY
from tests.conftest import ManualClock
from tests.sessions.joined import KEY, joined, use

A, B = {"x-session-id": "run-a"}, {"x-session-id": "run-b"}
CALL = "toolu_01A9xkZ4LmQ7"


@pytest.mark.parametrize(
    "name",
    [
        "ping", "mcp__gw__ping", "mcp__whatever__ping", "mcp_gw_ping", "gw_ping", "mcp__wicket__gw__ping", "gw-ping",
        "gw.ping",
    ],
)  # fmt: skip
async def test_a_call_is_found_under_every_name_that_agents_give_a_tool(
    name: str, database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        run = await both.model(use(name, {"n": 1}), headers=A)
        placed = await both.call("ping", {"n": 1}, transport="t1")
        assert (placed.id, placed.evidence, placed.verified) == (run.id, "tool_call", True)
        assert placed.proposed is Proposed.EXACT
        assert placed.proposed_by.startswith("exc_")


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("gw_web_search", "search"),  # another tool that the server lists
        ("web_search", "search"),
        ("mcp__backup__ping", "ping"),  # another server of the configuration
        ("mcp__wicket__backup__ping", "ping"),
        ("shopping", "ping"),  # the end of a word
        ("pong", "ping"),
    ],
)
async def test_a_name_that_means_another_tool_is_no_match(
    name: str, tool: str, database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        await both.model(use(name, {"n": 1}, CALL), headers=A)
        for meta in ({}, {"claudecode/toolUseId": CALL}):
            placed = await both.call(tool, {"n": 1}, transport="t1", meta=meta)
            assert (placed.evidence, placed.proposed) == ("transport", Proposed.NONE)


async def test_names_that_had_to_be_made_plain_or_short_are_understood(database_url: str, clock: ManualClock) -> None:
    tool = "look_up_everything_that_is_known_about_a_customer_of_the_house"
    whole = f"mcp_some_long_server_{tool}"
    async with joined(database_url, clock) as both:
        run = await both.model(use("mcp__gw__get_info", {}), use(f"{whole[:28]}___{whole[-32:]}", {"n": 1}), headers=A)
        assert (await both.call("get.info", {}, transport="t1")).id == run.id
        assert (await both.call(tool, {"n": 1}, transport="t2")).id == run.id


async def test_numbers_and_the_order_of_members_may_be_written_in_another_way(
    database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        run = await both.model(use("ping", {"a": 1.0, "b": [True, None]}), headers=A)
        assert (await both.call("ping", {"b": [True, None], "a": 1}, transport="t1")).id == run.id


async def test_one_match_binds_the_whole_transport(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        before = await both.listing("t1")
        assert before.evidence == "transport"
        run = await both.model(use("ping", {"n": 1}), headers=A)
        await both.call("ping", {"n": 1}, transport="t1")
        assert (await both.listing("t1")).id == run.id
        other = await both.call("pong", {}, transport="t1")
        assert (other.id, other.proposed) == (run.id, Proposed.NONE)
        assert (await both.listing("t2")).evidence == "transport"
        assert {found.id for found in await both.runs.newest()} == {run.id, (await both.listing("t2")).id}
        assert await both.runs.parts(run.id) == [before.id]
        assert [found.id for found in await both.runs.named("t1")] == [run.id]


async def test_a_binding_outlives_the_process_that_made_it(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        await both.listing("t1")
        run = await both.model(use("ping", {"n": 1}), headers=A)
        await both.call("ping", {"n": 1}, transport="t1")
        both.mcp = both.again()
        assert (await both.listing("t1")).id == run.id


async def test_who_was_stopped_before_it_was_known_stays_stopped(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        before = await both.listing("t1")
        run = await both.model(use("ping", {"n": 1}), headers=A)
        placed = await both.call("ping", {"n": 1}, transport="t1")
        for session in (placed, await both.listing("t1"), await both.call("ping", {}, transport="t1", headers=A)):
            assert session.id == run.id
            assert (Scope.SESSION, before.id) in targets(KEY, session)
        by_key = await both.model(body={"tools": []})
        for session in (await both.model(use("ping", {})), await both.model(body={"messages": []})):
            assert session.id != by_key.id
            assert (Scope.SESSION, by_key.id) in targets(KEY, session)


async def test_a_transport_that_two_runs_use_is_bound_to_neither(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        await both.listing("t1")
        first = await both.model(use("ping", {"n": 1}), headers=A)
        second = await both.model(use("ping", {"n": 2}), headers=B)
        assert (await both.call("ping", {"n": 1}, transport="t1")).id == first.id
        assert (await both.call("ping", {"n": 2}, transport="t1")).id == second.id
        for _ in range(2):
            assert (await both.listing("t1")).evidence == "transport"
            assert (await both.call("pong", {}, transport="t1")).evidence == "transport"
            both.mcp = both.again()


async def test_equal_calls_of_two_runs_are_no_join(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        for headers in (A, B):
            await both.model(use("ping", {"n": 1}), headers=headers)
        for transport in ("t1", "t2"):
            placed = await both.call("ping", {"n": 1}, transport=transport)
            assert (placed.evidence, placed.proposed) == ("transport", Proposed.EXACT)
            assert placed.conflicts == ("tool_call=several",)


async def test_equal_calls_are_told_apart_by_what_is_known_of_their_transports(
    database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        for headers, number, transport in ((A, 1, "t1"), (B, 2, "t2")):
            run = await both.model(use("ping", {"n": number}), use("search", {}), headers=headers)
            assert (await both.call("ping", {"n": number}, transport=transport)).id == run.id
            assert (await both.call("search", {}, transport=transport)).id == run.id


async def test_a_call_made_again_or_the_first_of_another_run_is_no_join(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        await both.model(use("ping", {"n": 1}), headers=A)
        await both.call("ping", {"n": 1}, transport="t1")
        await both.model(use("ping", {"n": 1}), headers=B)
        assert (await both.call("ping", {"n": 1}, transport="t1")).conflicts == ("tool_call=several",)


async def test_a_used_proposal_gives_way_to_the_one_whose_call_is_to_come(
    database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        first = await both.model(use("ping", {"n": 1}), headers=A)
        assert (await both.call("ping", {"n": 1}, transport="t1")).id == first.id
        second = await both.model(use("ping", {"n": 1}), headers=B)
        assert (await both.call("ping", {"n": 1}, transport="t2")).id == second.id


async def test_the_id_that_a_model_gave_its_call_tells_the_run_of_equal_calls(
    database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        await both.model(use("mcp__gw__ping", {"n": 1}, "toolu_01OtherOther"), headers=B)
        run = await both.model(use("mcp__gw__ping", {"n": 1}, CALL), headers=A)
        placed = await both.call("ping", {"n": 1}, transport="t1", meta={"claudecode/toolUseId": CALL})
        assert (placed.id, placed.source) == (run.id, f"tool_call_id={CALL}")


async def test_an_id_that_two_answers_had_tells_nothing(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        for headers, number in ((A, 1), (B, 2)):
            await both.model(use("ping", {"n": number}, CALL), headers=headers)
        placed = await both.call("ping", {"n": 3}, transport="t1", meta={"callId": CALL})
        assert (placed.evidence, placed.proposed) == ("transport", Proposed.NONE)


async def test_other_arguments_than_the_model_asked_for_are_told(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        run = await both.model(use("ping", {"n": 1}, CALL), use("search", {"q": "a"}), headers=A)
        placed = await both.call("ping", {"n": 2}, transport="t1", meta={"claudecode/toolUseId": CALL})
        assert (placed.id, placed.proposed) == (run.id, Proposed.ALTERED)
        placed = await both.call("search", {"q": "b"}, transport="t1")
        assert (placed.id, placed.proposed) == (run.id, Proposed.ALTERED)
        placed = await both.call("search", {"q": "c"}, transport="t1")
        assert placed.proposed is Proposed.NONE  # the one proposal was answered for already
        assert (await both.call("search", {"q": "b"}, transport="t2")).proposed is Proposed.NONE


async def test_nothing_of_another_key_is_looked_at(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        await both.model(use("ping", {"n": 1}, CALL), headers=A)
        stranger = Principal("key_2")
        placed = await both.call("ping", {"n": 1}, transport="t1", meta={"callId": CALL}, key=stranger)
        assert (placed.evidence, placed.proposed) == ("transport", Proposed.NONE)


async def test_what_a_client_says_of_its_run_is_verified_by_the_call(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        run = await both.model(use("ping", {"n": 1}), headers=A)
        placed = await both.call("ping", {"n": 1}, headers=A)
        assert (placed.id, placed.evidence, placed.verified) == (run.id, "agent_header", True)
        assert not (await both.call("ping", {"n": 9}, headers=A)).verified


async def test_a_client_that_names_another_run_is_not_believed_and_not_moved(
    database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        run = await both.model(use("ping", {"n": 1}, CALL), headers=A)
        placed = await both.call("ping", {"n": 1}, headers=B, transport="t1", meta={"claudecode/toolUseId": CALL})
        assert (placed.evidence, placed.verified) == ("agent_header", False)
        assert placed.id != run.id
        assert placed.conflicts == (f"tool_call={run.id}",)
        assert (await both.listing("t1")).evidence == "transport"


async def test_a_proposal_is_forgotten_after_an_hour(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        for call in ("ping", "search"):
            await both.model(use(call, {"n": 1}), headers=A)
        assert (await both.call("search", {"n": 1}, transport="t1")).proposed is Proposed.EXACT
        clock.advance(60 * KEPT_MINUTES + 1)
        for mcp in (both.mcp, both.again()):
            both.mcp = mcp
            assert (await both.call("ping", {"n": 1}, transport="t2")).proposed is Proposed.NONE
        await both.model(use("ping", {"n": 2}), headers=A)
        assert await both.proposals.store.after(0, "", 100) == await both.proposals.store.after(2, "", 100)


async def test_what_is_remembered_is_bounded(
    database_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with joined(database_url, clock) as both:
        for batch in range(MOST_OF_KEY // 100 + 2):
            await both.model(*[use("ping", {"n": 100 * batch + number}) for number in range(100)], headers=A)
        assert (await both.call("ping", {"n": 0}, transport="t1")).proposed is Proposed.NONE
        assert (await both.call("ping", {"n": 200}, transport="t1")).proposed is Proposed.EXACT
        assert both.proposals.held == MOST_OF_KEY
        monkeypatch.setattr(proposals, "MOST_KEYS", 2)
        for number in range(4):
            await both.model(use("ping", {}), headers=A, key=Principal(f"key_{number + 5}"))
            await both.call("pong", {})
        assert both.proposals.held == 2
        monkeypatch.setattr(proposals, "MOST_HELD", 1)
        await both.model(use("ping", {}), headers=A)
        await both.call("pong", {})
        assert both.proposals.held == 1


async def test_a_sub_agents_call_is_its_own(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        headers = {"x-claude-code-session-id": "c1", "x-claude-code-agent-id": "researcher"}
        await both.model(use("mcp__gw__ping", {}, CALL), headers=headers)
        placed = await both.call("ping", {}, transport="t1", meta={"claudecode/toolUseId": CALL})
        assert (placed.subagent, KEY.key_id) == ("researcher", "key_1")
