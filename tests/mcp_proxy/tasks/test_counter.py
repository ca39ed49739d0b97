"""What a client is told of its task while the task goes on beneath it."""

from datetime import UTC, datetime
from typing import Any

from governance.clock import SystemClock
from governance.exchange import Exchange, Phase, Principal, SessionRef
from governance.verdict import ALLOWED, Verdict
from mcp_proxy.lens import Caller
from mcp_proxy.link import Era, Event
from mcp_proxy.message import Message, result_of
from mcp_proxy.sealing import Seal
from mcp_proxy.tasks.book import TaskBook
from mcp_proxy.tasks.counter import Counter
from mcp_proxy.tasks.runner import TaskAttendant
from mcp_proxy.tasks.task import Task
from tests.mcp_proxy.approving import write
from tests.mcp_proxy.harness import OpenGate, SeenTools


class Nobody:
    """Takes no decision and withdraws nothing."""

    async def withdraw(self, ticket_id: str, *, by: str, reason: str) -> bool:
        return False

    def waiters(self, ticket_id: str) -> int:
        return 0

    def expects(self, ticket_id: str) -> bool:
        return False

    async def chosen(self, ticket_id: str, answer: Any, exchange: Exchange) -> None:
        raise AssertionError(ticket_id)


class Ear:
    """Hears what the client is told."""

    gone = False

    def __init__(self) -> None:
        self.told: list[Message] = []

    async def begin(self, status: int, headers: Any) -> None:
        assert status == 200

    async def put(self, event: Event) -> None:
        assert event.message is not None
        self.told.append(event.message)

    async def end(self) -> None:
        """There is no stream."""


def request(method: str, **params: Any) -> Message:
    return Message.build({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def a_task() -> Task:
    caller = Caller(Principal("alice"), "up", Era.MODERN, "http")
    run = SessionRef("ses_1", "key", 8, "key")
    made = datetime(2026, 11, 21, tzinfo=UTC)
    call = Message.build({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": write("a")})
    return Task("sealed", "tkt_1", "page", call, caller, run, {}, made, 60, 0.0, asked_about="tkt_1")


async def test_a_task_keeps_its_id_although_another_ticket_takes_the_place_of_its_first() -> None:
    task, clock, ear = a_task(), SystemClock(), Ear()
    counter = Counter(TaskBook(Seal(lambda _: bytes(32)), clock, 60), Nobody(), clock)

    def judge(exchange: Exchange, phase: Phase) -> Verdict:
        task.ticket = f"tkt_{phase.value}"
        return ALLOWED

    asked = request("tasks/get", taskId=task.id)
    await counter.serve(asked, task, task.caller, ear, OpenGate(judge), SeenTools(), Nobody())
    assert result_of(ear.told[0])["taskId"] == "sealed"


async def test_a_question_about_one_ticket_is_asked_no_more_once_another_is_waited_for() -> None:
    task = a_task()
    task.asks = {"ours": {"method": "elicitation/create"}}
    attendant = TaskAttendant(task, SystemClock())
    async with attendant.waiting("tkt_1", "page", detached=False):
        assert task.told()["status"] == "input_required"
    task.asks = {"ours": {"method": "elicitation/create"}}
    async with attendant.waiting("tkt_2", "page 2", detached=False), attendant.waiting("q", "page 3", detached=False):
        assert task.told()["status"] == "working"
        assert task.told()["statusMessage"] == "waiting for a person to approve this call at page 2 and page 3"
