"""Where a rule says who decides, the person at the client never does, whatever `approvals.in_band` names."""

from pathlib import Path

import pytest

from approvals.ticket import State
from governance.jsontree import JsonObject
from tests.mcp_proxy.approving import House, approving, result, retry, write
from tests.mcp_proxy.tasks.asking import ask, given, told

IN_BAND = ("ask-write",)
NAMED: JsonObject = {"approvers": ["role:approver"]}
SEVERAL: JsonObject = {"quorum": 2}
ANOTHER: JsonObject = {"no_self_approval": True}
YES: JsonObject = {"approve": True}


def asking(charter: JsonObject) -> JsonObject:
    """A policy whose rule says who decides."""
    rule: JsonObject = {"id": "ask-write", "match": {"tool": "write"}, "decide": "hold", **charter}
    return {"version": 1, "default": "allow", "rules": [rule]}


async def undecided(house: House) -> bool:
    """Whether the one ticket waits still, and nobody has voted."""
    (ticket,) = await house.world.runtime.desk.tickets()
    return (ticket.state, ticket.votes, house.marks) == (State.PENDING, (), [])


@pytest.mark.parametrize("charter", [NAMED, SEVERAL, ANOTHER])
async def test_no_form_is_shown_and_none_counts(tmp_path: Path, charter: JsonObject) -> None:
    async with approving(tmp_path, in_band=IN_BAND, policy=asking(charter)) as house, house.raw() as client:
        waits = await result(client, write("a"), "form")
        assert "inputRequests" not in waits
        asked = await result(client, write("a"), "url", "form")
        ((_, question),) = asked["inputRequests"].items()
        assert question["params"]["mode"] == "url"
        # As if the page had been a form: the state is our own, and for this very call.
        answered = await result(client, retry("a", asked, action="accept", content=YES), "form")
        assert answered["resultType"] == "input_required"
        assert await undecided(house)
        assert await house.world.events("approval.granted") == []


@pytest.mark.parametrize("charter", [NAMED, SEVERAL, ANOTHER])
async def test_no_task_shows_a_form_and_none_counts(tmp_path: Path, charter: JsonObject) -> None:
    async with approving(tmp_path, in_band=IN_BAND, policy=asking(charter)) as house, house.raw() as client:
        task = await given(client, write("a"), "form")
        assert (await told(client, task["taskId"]))["status"] == "working"
        opens = (await given(client, write("a"), "url", "form"))["taskId"]
        ((key, question),) = (await told(client, opens))["inputRequests"].items()
        assert question["params"]["mode"] == "url"
        for task_id in (task["taskId"], opens):
            await ask(client, "update", task_id, inputResponses={key: {"action": "accept", "content": YES}})
        assert await undecided(house)
