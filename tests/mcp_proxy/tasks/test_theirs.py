"""Tasks that servers make of calls: ended with their run, nobody else's, and bounded."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from governance.exchange import Principal, SessionRef
from governance.verdict import ALLOWED
from mcp_proxy.calls import Calls
from mcp_proxy.gate import Route
from mcp_proxy.lens import ACTIONS, Caller, exchange_of
from mcp_proxy.link import Era
from mcp_proxy.message import Message
from mcp_proxy.tasks import theirs
from mcp_proxy.tasks.theirs import Theirs, TheirTasks
from sessions.killswitch import Scope
from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import PREFIX, approving, write
from tests.mcp_proxy.harness import OpenKills, SeenTools
from tests.mcp_proxy.tasks.asking import given
from tests.mcp_proxy.tasks.making import Maker
from tests.mcp_proxy.tasks.test_counter import Ear, a_task
from tests.mcp_proxy.tasks.test_legacy import run_of


@pytest.mark.parametrize("held", [True, False])
async def test_a_task_of_the_extension_is_cancelled_at_its_server_when_its_run_is_killed(
    tmp_path: Path, held: bool
) -> None:
    maker = Maker()
    maker.server.stateful = False
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        await given(client, write("a") if held else {"name": "free", "arguments": {}})
        if held:
            await house.decide()
        await eventually(lambda: bool(maker.made))
        await house.world.runtime.kills.kill(Scope.SESSION, await run_of(house), reason="stop", actor="test")
        await eventually(lambda: maker.ended("cancel") == ["1"])
        (cancelled,) = [one for one in maker.server.calls if one.message["method"] == "tasks/cancel"]
        assert (cancelled.headers["mcp-method"], cancelled.headers["mcp-name"]) == ("tasks/cancel", "1")
        assert "extensions" in cancelled.params["_meta"][PREFIX + "clientCapabilities"]


class Scene:
    """Tasks that callers of one server are told of."""

    def __init__(self) -> None:
        self.runs, self.tasks = OpenKills(), TheirTasks()
        self.cancelled: list[str] = []
        self.tasks.cancel = self._cancel

    def made(self, key: str, task_id: str) -> None:
        known, principal, run = a_task(), Principal(key), SessionRef("ses_1", "key", 8, "key")
        call, caller = known.message, Caller(principal, "up", Era.MODERN, "http")
        exchange = exchange_of(call, ACTIONS[call.method], caller, run, SeenTools(), known.created_at)
        value: Any = {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "task", "taskId": task_id}}
        link: Any = None  # in that era none is kept
        route = Route(link, Ear(), Calls(), {})
        self.tasks.heard(call, Message.build(value), exchange, route, partial(self.runs.track, principal, run))

    def _cancel(self, made: Theirs) -> None:
        self.cancelled.append(made.id)


async def test_one_id_may_be_that_of_two_callers() -> None:
    scene, ann, ben = Scene(), Principal("ann"), Principal("ben")
    scene.made("ann", "1")
    assert (scene.tasks.is_own(ann, "up", "1"), scene.tasks.is_strange(ann, "up", "1")) == (True, False)
    assert (scene.tasks.is_own(ben, "up", "1"), scene.tasks.is_strange(ben, "up", "1")) == (False, True)
    assert not scene.tasks.is_strange(ben, "another", "1")
    scene.made("ben", "1")
    assert not scene.tasks.is_strange(ben, "up", "1")
    assert not scene.tasks.is_strange(ann, "up", "1")


async def test_what_is_remembered_is_bounded_and_one_key_pushes_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theirs, "MOST_OF_ONE", 3)
    monkeypatch.setattr(theirs, "MOST", 4)
    scene = Scene()
    scene.made("ben", "b")
    for number in range(5):
        scene.made("ann", str(number))
    scene.made("ann", "4")  # again
    scene.made("cid", "c")
    scene.runs.kill(ALLOWED)
    assert sorted(scene.cancelled) == ["3", "4", "b", "c"]
    assert scene.runs.running == []
