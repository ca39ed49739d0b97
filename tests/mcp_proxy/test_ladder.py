"""Approvals as clients meet them: each rung, what a retry may be, and that a call runs once or not at all."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client import InputRequiredRoundsExceededError
from mcp_types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult

from tests.mcp_proxy.approving import House, approving, post, result, retry, text_of, write


async def call_while_deciding(
    house: House, client: Client, text: str, *, approve: bool = True, reason: str = ""
) -> Any:
    """Make a call, decide about it once its ticket waits, and return the result."""
    found: list[Any] = []

    async def call() -> None:
        found.append(await client.call_tool("write", {"text": text}))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await house.decide(approve=approve, reason=reason)
    return found[0]


# -- official clients --------------------------------------------------------------------------------------------------


async def test_a_modern_client_that_opens_pages_is_given_the_page_and_its_call_runs_once_approved(
    tmp_path: Path,
) -> None:
    opened: list[str] = []

    async with approving(tmp_path) as house:

        async def elicited(context: Any, params: ElicitRequestParams) -> ElicitResult:
            assert isinstance(params, ElicitRequestURLParams)
            opened.append(params.url)
            assert house.marks == []
            await house.decide()
            return ElicitResult(action="accept")

        async with house.client(elicitation_callback=elicited) as client:
            answer = await client.call_tool("write", {"text": "a"})
        (url,) = opened
        assert url.startswith("http://console/console/approvals/tkt_")
        assert (text_of(answer), house.marks) == ("wrote a", ["a"])


async def test_opening_the_page_approves_nothing(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        asked = await result(client, write("a"), "url", "form")
        waits = await result(client, retry("a", asked, action="accept"), "url", "form")
        assert waits["resultType"] == "input_required"
        assert "inputRequests" not in waits  # the page was opened: it is not pushed again, the client only waits
        assert house.marks == []


async def test_a_modern_client_without_elicitation_waits_leg_by_leg(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.client() as client:
        answer = await call_while_deciding(house, client, "a")
        assert (answer.is_error, text_of(answer), house.marks) == (False, "wrote a", ["a"])


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_denied_call_is_told_why_and_never_runs(tmp_path: Path, mode: str) -> None:
    async with approving(tmp_path) as house, house.client(mode) as client:
        answer = await call_while_deciding(house, client, "a", approve=False, reason="not on a Friday")
        assert answer.is_error
        assert "not on a Friday" in text_of(answer)
        assert house.marks == []


async def test_nobody_decides_so_the_client_is_told_pending_before_its_sdk_gives_up(tmp_path: Path) -> None:
    async with approving(tmp_path, wait_seconds=0.01, loop={"repeat_warn": 0}) as house, house.client() as client:
        try:
            answer = await client.call_tool("write", {"text": "a"})
        except InputRequiredRoundsExceededError:
            pytest.fail("the client was asked to come back once too often")
        assert answer.is_error
        assert "make exactly the same call again" in text_of(answer).lower()
        await house.decide()
        assert text_of(await client.call_tool("write", {"text": "a"})) == "wrote a"
        assert house.marks == ["a"]


async def test_a_legacy_client_is_told_that_its_call_waits_if_it_asked_for_progress(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []

    async with (
        approving(tmp_path, wait_seconds=20, progress_seconds=0.02) as house,
        house.client("legacy") as client,
    ):

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            told.append((progress, message or ""))
            if len(told) == 3:
                await house.decide()

        answer = await client.call_tool("write", {"text": "a"}, progress_callback=hear)
    assert text_of(answer) == "wrote a"
    assert [value for value, _ in told] == sorted({value for value, _ in told})
    assert "http://console/console/approvals/tkt_" in told[0][1]


async def test_two_clients_with_one_call_each_need_an_approval_each(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.client() as alice, house.client(key="bob") as bob:
        answers: dict[str, Any] = {}

        async def call(name: str, client: Client) -> None:
            answers[name] = await client.call_tool("write", {"text": "a"})

        async with anyio.create_task_group() as group:
            group.start_soon(call, "alice", alice)
            group.start_soon(call, "bob", bob)
            await house.decide()
            await house.decide(approve=False)
        assert sorted(answer.is_error for answer in answers.values()) == [False, True]
        assert house.marks == ["a"]


# -- what a retry may be -----------------------------------------------------------------------------------------------


async def test_a_state_that_was_altered_is_refused(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        asked = await result(client, write("a"), "url")
        await house.decide()
        state: str = asked["requestState"]
        for forged in (state[:-4] + "AAAA", state[:40], state + "A", state[:20] + "."):
            status, message = await post(client, retry("a", {"requestState": forged}), "url")
            assert (status, message["error"]["code"]) == (400, -32602)
            assert "requestState" in message["error"]["message"]
        assert house.marks == []
        assert [problem.code for problem in house.refused] == ["malformed"] * 4


async def test_a_state_is_good_for_its_own_arguments_and_its_own_caller_only(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as alice, house.raw("bob") as bob:
        asked = await result(alice, write("a"), "url")
        await house.decide()
        for client, params in ((alice, retry("b", asked)), (bob, retry("a", asked))):
            status, message = await post(client, params, "url")
            assert (status, message["error"]["code"]) == (400, -32602)
        assert house.marks == []
        assert (await result(alice, retry("a", asked), "url"))["content"][0]["text"] == "wrote a"
        assert house.marks == ["a"]


async def test_a_state_that_was_used_asks_anew(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        asked = await result(client, write("a"), "url")
        await house.decide()
        assert "content" in await result(client, retry("a", asked, action="accept"), "url")
        again = await result(client, retry("a", asked, action="accept"), "url")
        assert again["resultType"] == "input_required"
        assert again["inputRequests"] != {}  # another ticket: its page was not opened yet
        assert house.marks == ["a"]


async def test_a_hundred_retries_of_one_approval_run_once(tmp_path: Path) -> None:
    loops = {"tools": {"*": {"exempt": True}}}
    async with approving(tmp_path, loop=loops) as house, house.raw() as client:
        asked = await result(client, write("a"), "url")
        await house.decide()
        answers: list[Any] = []

        async def use() -> None:
            answers.append((await post(client, retry("a", asked), "url"))[1])

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(use)
        assert house.marks == ["a"]
        assert sum("wrote a" in str(answer) for answer in answers) == 1


async def test_every_retry_is_judged_by_the_rules_of_its_moment(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        asked = await result(client, write("a"), "url")
        await house.decide()
        (tmp_path / "policy.yaml").write_text(
            '{"version": 1, "rules": [{"id": "closed", "match": {"tool": "*"}, "decide": "deny", "reason": "closed"}]}'
        )
        await house.world.runtime.policies.reload()
        answer = await result(client, retry("a", asked, action="accept"), "url")
        assert answer["isError"] is True
        assert "closed" in answer["content"][0]["text"]
        assert house.marks == []


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_client_that_declines_decides_nothing(tmp_path: Path, action: str) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        asked = await result(client, write("a"), "url")
        answer = await result(client, retry("a", asked, action=action), "url")
        assert answer["resultType"] == "complete"
        assert answer["isError"] is True
        assert answer["_meta"]["wicket/verdict"]["decision"] == "hold"
        await house.decide()
        assert (await result(client, write("a"), "url"))["content"][0]["text"] == "wrote a"


async def test_a_page_that_was_not_answered_for_is_asked_for_again(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        asked = await result(client, write("a"), "url")
        again = await result(client, retry("a", asked), "url")
        assert again["inputRequests"] == asked["inputRequests"]


async def test_without_waiting_a_modern_client_is_told_pending_at_once(tmp_path: Path) -> None:
    async with approving(tmp_path, wait_seconds=0) as house, house.raw() as client:
        answer = await result(client, write("a"))
        assert answer["isError"] is True
        assert house.marks == []


async def test_pages_are_not_asked_for_where_clients_only_say_that_they_open_them(tmp_path: Path) -> None:
    async with approving(tmp_path, open_pages=False) as house, house.raw() as client:
        answer = await result(client, write("a"), "url", "form")
        assert answer["resultType"] == "input_required"
        assert "inputRequests" not in answer
