"""The whole story, step by step, with real parts: what each party sees, and whether it is what must be.

The agent, the file server, the customer register and Wicket are real; only the model follows a script
(`provider.py`). Where it plays is `house.py`.
"""

import argparse
import json
import sys
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio
import openai
from rich.console import Console

from demo.agent import Agent, Called
from demo.house import DemoError, House, open_house
from demo.story import Story

SSN = "536-22-8145"
SESSION = "demo-run"
LOOK_SECONDS = 0.2
WAIT_SECONDS, WAIT_FOR_CLICK_SECONDS = 45, 210


@dataclass
class Play:
    """One performance."""

    house: House
    agent: Agent
    story: Story
    manual: bool

    async def read(self) -> None:
        """A read goes through."""
        self.story.begin("read", "The agent reads a file: allowed")
        said = await self.agent.do("Read notes.txt")
        call = self.agent.calls[-1]
        self.story.saw("agent", f"called {call.tool}({json.dumps(call.arguments)}) and got: {call.text}")
        self.story.saw("agent", f"concludes: {said}")
        self.story.expect("the read was allowed and answered", not call.refused and "on Friday" in call.text)

    async def write(self) -> None:
        """A write waits for a person, and happens once."""
        self.story.begin("write", "The agent writes a file: held until a person says yes")
        summary = self.house.sandbox / "summary.txt"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.agent.do, "Write a summary")
            ticket = await self._waiting_ticket()
            self.story.saw(
                "person", f"finds in the console: {ticket['tool']} on {ticket['server']}, {ticket['reason']}"
            )
            self.story.expect("nothing is written while it waits", not summary.exists())
            await self._decide(ticket["id"])
        call = self.agent.calls[-1]
        self.story.saw("agent", f"noticed nothing but a pause, and got: {call.text}")
        self.story.expect("the file is there", summary.exists() and "on Friday" in summary.read_text())
        done = [event for event in await self._events("exchange.completed") if event.get("tool") == "write_file"]
        used = await self._events("approval.consumed")
        self.story.expect("the approval was used once, and the write happened once", len(done) == len(used) == 1)

    async def redact(self) -> None:
        """Personal data does not leave the house."""
        self.story.begin("redact", "The agent mentions a social security number: the provider never sees it")
        task = f"File the customer with the number {SSN}"
        said = await self.agent.do(task)
        seen = (await self.house.seen_by_provider())[-1]
        self.story.saw("agent", f"sent: {task}")
        self.story.saw("provider", f"received: {json.loads(seen)['messages'][-1]['content']}")
        self.story.saw("agent", f"heard: {said}")
        self.story.expect("the number is nowhere in the bytes that the provider got", SSN not in seen)
        self.story.expect("the rest of the sentence is", "File the customer with the number" in seen)

    async def hide(self) -> None:
        """What is refused anyway is not even offered."""
        self.story.begin("hide", "A tool that policy denies: not in the list, and refused all the same")
        listed = sorted(name for name in self.agent.offered if name.startswith("crm__"))
        self.story.saw("agent", f"is offered by the customer register: {', '.join(listed)}")
        self.story.expect("delete_customer is hidden", listed == ["crm__find_customer"])
        call = await self.agent.call("crm__delete_customer", {"customer": 7})
        self.story.saw("agent", f"calls delete_customer by name and is told: {call.text}")
        self.story.expect("calling it is refused, with the rule", call.refused and "nobody-deletes" in call.text)

    async def loop(self) -> None:
        """Going in circles is stopped."""
        self.story.begin("loop", "The agent goes in circles: warned, then stopped")
        before = len(self.agent.calls)
        said = await self.agent.do("Watch customer 7")
        calls = self.agent.calls[before:]
        self.story.saw("agent", f"makes the same call; the third time it reads besides the answer: {calls[2].text}")
        self.story.saw("agent", f"call {len(calls)} is told: {calls[-1].text}")
        self.story.saw("agent", f"concludes: {said}")
        self.story.expect("it was told so from the third time on", _told_at(calls) == [3, 4])
        self.story.expect("the fifth was refused, those before were not", _refused_only_at(calls, 5))

    async def kill(self) -> None:
        """One command stops the run in both processes."""
        self.story.begin("kill", "A person kills the session: nothing of it goes on, in either process")
        code, said = await self.house.wicket("kill", SESSION, "--reason", "enough for today")
        self.story.saw("person", f"wicket kill {SESSION}  ->  stopped {said.get('target', said)}")
        self.story.expect("the command says so", code == 0 and said.get("killed") is True)
        seen = len(await self.house.seen_by_provider())
        refusal = await _model_refusal(self.agent.do("Again"))
        self.story.saw("agent", f"next model call: {refusal or 'answered'}")
        self.story.expect("the next model call is refused", bool(refusal))
        self.story.expect("the provider heard nothing of it", len(await self.house.seen_by_provider()) == seen)
        call = await self.agent.call("files__read_text_file", {"path": "notes.txt"})
        self.story.saw("agent", f"next tool call: {call.text}")
        self.story.expect("the next tool call is refused", call.refused and "on Friday" not in call.text)

    async def verify(self) -> None:
        """The log proves all of it."""
        self.story.begin("verify", "The auditor looks: one timeline over both processes, and every event in its place")
        events = await self._events()
        session = next(event["session_id"] for event in events if event["event_type"] == "session.killed")
        run = [event for event in events if event.get("session_id") == session]
        self.story.table(("at", "event", "what", "decision", "rule"), [_row(event) for event in run if _telling(event)])
        planes = {event["plane"] for event in run if "plane" in event}
        kinds = {event["event_type"] for event in run}
        self.story.expect("model calls and tool calls are one session", planes == {"llm", "mcp"})
        self.story.expect("so are the approval and the kill", {"approval.granted", "session.killed"} <= kinds)
        self.story.expect("the number is nowhere in the log", SSN not in json.dumps(events))
        code, report = await self.house.wicket("audit", "verify")
        found = report["fault"] or "verified"
        self.story.saw("auditor", f"wicket audit verify  ->  {report['checked']} events checked, {found}")
        self.story.expect("the log is whole", code == 0 and report["checked"] > 0)

    async def _waiting_ticket(self) -> Any:
        with anyio.fail_after(30):
            while True:
                tickets = (await self.house.ask_console("GET", "/approvals?state=pending"))["items"]
                if tickets:
                    return tickets[0]
                await anyio.sleep(LOOK_SECONDS)

    async def _decide(self, ticket: str) -> None:
        if self.manual:
            self.story.link("open this, go to Approvals, and decide:", self.house.console)
            return
        place = f"/approvals/{ticket}"
        digest = (await self.house.ask_console("GET", place))["current_digest"]
        wish = {"decision": "approve", "digest": digest, "reason": "looks right"}
        await self.house.ask_console("POST", f"{place}/decision", wish)
        self.story.saw("person", "approves")

    async def _events(self, tag: str = "") -> list[dict[str, Any]]:
        """The events of one kind, or all, oldest first."""
        _, events = await self.house.wicket("audit", "show", *(("--type", tag) if tag else ()), "--limit", "1000")
        return list(reversed(events))


def _told_at(calls: list[Called]) -> list[int]:
    """Which calls were answered with a warning, counted from 1."""
    return [number for number, call in enumerate(calls, 1) if "warning from wicket" in call.text]


def _refused_only_at(calls: list[Called], number: int) -> bool:
    return [call.refused for call in calls] == [False] * (number - 1) + [True]


async def _model_refusal(work: Awaitable[str]) -> str:
    """What the model call was refused with; nothing if it was answered."""
    try:
        await work
    except openai.APIStatusError as error:
        return f"{error.status_code} {error.message}"
    return ""


def _telling(event: dict[str, Any]) -> bool:
    """Whether a person wants to see this event: not every end, and not every question that was allowed."""
    allowed = event.get("policy_decision") == "allow"
    return event["event_type"] != "exchange.completed" and not (allowed and event.get("plane") == "llm")


def _row(event: dict[str, Any]) -> tuple[str, ...]:
    what = event.get("tool") or event.get("model") or event.get("action", "")
    rule = event.get("rule") or ", ".join(event.get("classification", ()))
    return event["at"][11:19], event["event_type"], what, event.get("policy_decision", ""), rule


async def perform(story: Story, *, manual: bool) -> None:
    """Set the stage, play, and clear it away."""
    story.note("starting: scripted model provider, file server (npm), customer register, wicket up")
    async with open_house(WAIT_FOR_CLICK_SECONDS if manual else WAIT_SECONDS) as house, AsyncExitStack() as stack:
        tools = {name: f"{house.mcp}/mcp/{name}" for name in ("files", "crm")}
        agent = await stack.enter_async_context(Agent(f"{house.gateway}/v1", tools, house.token, SESSION))
        play = Play(house, agent, story, manual)
        for scene in (play.read, play.write, play.redact, play.hide, play.loop, play.kill, play.verify):
            await scene()


def main() -> int:
    """Play the demo; returns 0 only if everything was as it must be."""
    parsing = argparse.ArgumentParser(prog="make demo", description="The whole story with real parts.")
    parsing.add_argument("--manual", action="store_true", help="wait for you to click in the console")
    parsing.add_argument("--json", action="store_true", help="print the results as one JSON document")
    options = parsing.parse_args()
    story = Story(Console(stderr=options.json, highlight=False))
    begun = time.perf_counter()
    try:
        anyio.run(lambda: perform(story, manual=options.manual))
    except DemoError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    seconds = time.perf_counter() - begun
    story.note(f"\n{'everything held' if story.ok else 'NOT everything held'}, in {seconds:.0f} s")
    if options.json:
        sys.stdout.write(json.dumps(story.as_json(seconds), indent=2) + "\n")
    return 0 if story.ok else 1
