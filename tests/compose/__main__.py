"""`python -m tests.compose`: what `make compose-test` runs once podman and the base images are there.

It uses the stack as a user would, crashes each part of it, and asks the log whether anything is missing.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import httpx2
import openai
from mcp import MCPError

from demo.agent import Agent
from tests.compose.stack import Stack, StackError, open_stack

OURS = ("gateway", "mcp")
UPSTREAMS = ("provider", "crm")
SECRETS = {"database": ["database_password"], **{one: ["admin_token", "database_url", "master_key"] for one in OURS}}
SSN = "536-22-8145"
AGAIN_SECONDS = 60
"""How long after a crash of the database a call may still be refused."""
LOOK_SECONDS = 0.3


@dataclass
class Examination:
    """One run over one stack."""

    stack: Stack
    report: Callable[[str], None]
    token: str = ""
    attempts: int = 0
    worked: list[str] = field(default_factory=list[str])
    """The sessions in which a model call and a tool call were answered."""
    done: list[str] = field(default_factory=list[str])

    def expect(self, what: str, held: object, otherwise: object = "") -> None:
        """What must be so."""
        if not held:
            raise StackError(f"{what}: this is not so {otherwise}".rstrip())
        self.done.append(what)
        self.report(f"   ok  {what}")

    async def come_up(self) -> None:
        """The services in the order that their dependencies ask for."""
        self.report("bringing the stack up")
        await self.stack.start("database")
        await self.stack.compose("run", "--rm", "-T", "--no-deps", "migrate")
        await self.stack.start(*UPSTREAMS, *OURS)
        self.expect("the database, the gateway and the MCP proxy are healthy", True)

    async def hold_to_promises(self) -> None:
        """What compose.yaml promises of each container, asked of the running one."""
        for service in ("database", *OURS):
            await self._unprivileged(service)
            await self._keeps_secrets(service)
        for service in OURS:
            user = (await self.stack.within(service, "id", "-u")).out.strip()
            self.expect(f"{service} runs as user 10001", user == "10001", user)
            bound = (await self.stack.inspect(service))["HostConfig"]["PortBindings"]
            hosts = {place["HostIp"] for places in bound.values() for place in places}
            self.expect(f"{service} is bound to this machine only", hosts == {"127.0.0.1"}, hosts)
        networks = set((await self.stack.inspect("database"))["NetworkSettings"]["Networks"])
        self.expect("the database is in the inner network only", {name[-6:] for name in networks} == {"inside"})

    async def _unprivileged(self, service: str) -> None:
        status = (await self.stack.within(service, "cat", "/proc/1/status")).out
        facts = {name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())}
        self.expect(f"{service} is not root", facts["Uid"] and "0" not in facts["Uid"], facts["Uid"])
        powers = {name: int(facts[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd")}
        self.expect(f"{service} has no capabilities and gets none", not any(powers.values()), powers)
        self.expect(f"{service} cannot gain privileges", facts["NoNewPrivs"] == ["1"], facts["NoNewPrivs"])
        wrote = await self.stack.within(service, "sh", "-c", "touch /opt/probe /etc/probe /probe")
        self.expect(f"{service} cannot write to its root", wrote.said.count("Read-only file system") == 3, wrote.said)

    async def _keeps_secrets(self, service: str) -> None:
        inspected = json.dumps(await self.stack.inspect(service))
        environ = (await self.stack.within(service, "cat", "/proc/1/environ")).out
        given = (await self.stack.within(service, "ls", "/run/secrets")).out.split()
        self.expect(f"{service} gets its secrets as files", sorted(given) == sorted(SECRETS[service]), given)
        texts = [path.read_text() for path in (self.stack.folder / "deploy/secrets").iterdir()]
        open_to_see = [text for text in texts if text in inspected or text in environ]
        self.expect(f"{service} has no secret in its environment or its description", not open_to_see)

    async def make_key(self) -> None:
        """A key for the agent, made inside the container."""
        code, made = await self.stack.wicket("keys", "create", "--name", "compose-test")
        if code:
            raise StackError(f"no key could be made: {made}")
        self.token = made["token"]

    async def work(self, when: str) -> None:
        """One governed model call and one governed tool call, through the published ports.

        After a crash a call may be refused for a while, but never answered ungoverned; so it is tried again.
        """
        refusals: list[str] = []
        with anyio.move_on_after(AGAIN_SECONDS):
            while True:
                if await self._try_to_work(when, refusals):
                    return
                await anyio.sleep(LOOK_SECONDS)
        raise StackError(f"no call goes through {when}: {refusals[-1:]}")

    async def _try_to_work(self, when: str, refusals: list[str]) -> bool:
        session = f"run-{self.attempts}"
        self.attempts += 1
        try:
            async with self._agent(session) as agent:
                said = await agent.do("Find customer 7")
                answered = "call back" in said and any("call back" in call.text for call in agent.calls)
                if not answered:
                    refusals.append(f"{agent.calls} {said}")
                    return False
        except* (openai.APIError, MCPError, httpx2.HTTPError) as group:
            refusals.extend(str(error) for error in group.exceptions)
        else:
            self.expect(f"a model call and a tool call go through {when}", True)
            self.worked.append(session)
        return self.worked[-1:] == [session]

    async def govern(self) -> None:
        """That the calls are not only passed on: redacted, held, refused."""
        async with self._agent("governed") as agent:
            await agent.do(f"File the customer with the number {SSN}")
            seen = (await self.stack.within("provider", "python", "-c", READ_SEEN)).out
            self.expect("the provider never sees a social security number", SSN not in seen and "REDACTED" in seen)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(agent.call, "crm__delete_customer", {"customer": 7})
                ticket = await self._ticket()
                code, _ = await self.stack.wicket("approvals", "approve", ticket, "--reason", "compose-test")
                self.expect("a person approves a held call from the command line", code == 0)
            self.expect("the held call is made after that", "deleted 7" in agent.calls[-1].text, agent.calls[-1])

    async def _ticket(self) -> str:
        with anyio.fail_after(40):
            while True:
                _, tickets = await self.stack.wicket("approvals", "list")
                if tickets:
                    return str(tickets[0]["id"])
                await anyio.sleep(LOOK_SECONDS)

    async def crash_each(self) -> None:
        """SIGKILL to the main process of every part, one after another."""
        for service in (*OURS, "database"):
            self.report(f"crashing {service}")
            await self.stack.crash(service)
            self.expect(f"{service} is back and healthy after SIGKILL", True)
            await self.work(f"after the crash of {service}")

    async def verify(self) -> None:
        """What the log says in the end."""
        code, report = await self.stack.wicket("audit", "verify")
        self.expect("the log is whole: `wicket audit verify` says 0", code == 0 and report["fault"] is None, report)
        _, events = await self.stack.wicket("audit", "show", "--type", "exchange.completed", "--limit", "1000")
        ended = {(event.get("session_source"), event["plane"]) for event in events}
        due = {(f"x-wicket-session={run}", plane) for run in self.worked for plane in ("llm", "mcp")}
        self.expect(f"every call of the {len(self.worked)} runs that were answered is in it", due <= ended, due - ended)
        self.report(f"       {report['checked']} events, head {report['head']}")

    def _agent(self, session: str) -> Agent:
        tools = {"crm": f"{self._address('mcp')}/mcp/crm"}
        return Agent(f"{self._address('gateway')}/v1", tools, self.token, session)

    def _address(self, service: str) -> str:
        return f"http://127.0.0.1:{self.stack.ports[service]}"


READ_SEEN = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9000/seen').read().decode())"


async def examine(report: Callable[[str], None]) -> int:
    """Bring everything up, try it, and take it down; returns how many things held."""
    async with open_stack(report) as stack:
        examination = Examination(stack, report)
        await examination.come_up()
        await examination.hold_to_promises()
        await examination.make_key()
        await examination.work("on a fresh stack")
        await examination.govern()
        await examination.crash_each()
        await examination.verify()
    return len(examination.done)


def main() -> int:
    """Run the examination; returns the exit code."""
    begun = time.perf_counter()

    def report(line: str) -> None:
        sys.stdout.write(f"[{time.perf_counter() - begun:5.0f} s] {line}\n")
        sys.stdout.flush()

    held = 0
    try:
        held = anyio.run(examine, report)
    except* StackError as group:
        for error in group.exceptions:
            sys.stderr.write(f"compose-test FAILED: {error}\n")
    if not held:
        return 1
    report(f"compose-test PASSED: all {held} things held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
