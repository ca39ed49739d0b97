"""Processes to kill, clients that go on working meanwhile, and what both leave behind. `test_faults.py` judges it.

The processes are started as the supervisor starts them, with a socket that outlives them, but at once after each death.
"""

import json
import os
import random  # noqa: TID251 - seeded, and handed in
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import httpx

from governance import jsontree
from tests.e2e.stack import LEDGER_SERVER, ROOT, environment, free_port

PATIENCE = 60
LATEST = 0.15
"""Seconds from the first answer of a process to its death, at most."""
YOUNGEST = 1.5
"""Seconds from the start of a process to its death, at most, where it is not given the time to serve."""
YOUNG = 0.25
"""Share of the deaths that come so early."""
Call: TypeAlias = Callable[[httpx.AsyncClient, str], Awaitable[None]]
MODERN = "2026-07-28"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass
class Notes:
    """What the clients know: only what they were told in full."""

    sent: set[str] = field(default_factory=set[str])
    """The texts of all calls, model calls and tool calls."""
    models: list[str] = field(default_factory=list[str])
    """Exchange ids of model calls that were answered."""
    denied_models: list[str] = field(default_factory=list[str])
    """Exchange ids of model calls that were refused by policy."""
    tools: list[str] = field(default_factory=list[str])
    """Texts of the marks that were answered."""
    denied_tools: list[str] = field(default_factory=list[str])
    """Texts of the tool calls that were refused by policy."""
    odd: list[str] = field(default_factory=list[str])
    """Answers that nobody should get."""
    lost: int = 0
    """Calls whose answer was never heard."""
    deaths: Counter[str] = field(default_factory=Counter[str])
    heads: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """Where the log ended after each death."""
    over: bool = False
    heard: defaultdict[str, anyio.Event] = field(default_factory=lambda: defaultdict(anyio.Event))
    """Set when a process, by its name, has let a call through and answered it."""


class Victim:
    """One of the two processes."""

    def __init__(self, name: str, folder: Path, health: str) -> None:
        self.name = name
        self._folder = folder
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._health = health
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it with its socket, on which requests may be waiting already."""
        handle = self._listener.fileno()
        command = [sys.executable, "-m", "wicket", self.name, "--config", str(self._folder / "wicket.yaml")]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--socket", str(handle)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(handle,), cwd=ROOT, env=environment(),
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more when this returns."""
        process = self._process
        assert process is not None
        assert process.poll() is None, f"{self.name} died by itself: see {self._folder / self.name}.log"
        process.kill()
        assert process.wait(PATIENCE) == -signal.SIGKILL

    async def serves(self) -> None:
        """Wait until it answers. A new connection: what an earlier process said counts for nothing."""
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            try:
                assert (await http.get(self.address + self._health)).status_code == 200
            except httpx.TransportError as error:
                raise AssertionError(f"{self.name} does not serve: see {self._folder / self.name}.log") from error

    def stop(self) -> int:
        """Ask it to end, and give its socket back; returns its exit code."""
        self._listener.close()
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(PATIENCE)


async def kill_often(
    victim: Victim, kills: int, notes: Notes, rng: random.Random, head: Callable[[], tuple[int, str]]
) -> None:
    """Kill a process that often, at moments of every kind, and leave it serving in the end."""
    for _ in range(kills):
        if rng.random() < YOUNG:
            await anyio.sleep(rng.uniform(0, YOUNGEST))
            notes.deaths[f"{victim.name} at its start"] += 1
        else:
            await victim.serves()
            notes.heard[victim.name] = anyio.Event()
            with anyio.fail_after(PATIENCE):
                await notes.heard[victim.name].wait()
            await anyio.sleep(rng.uniform(0, LATEST))
            notes.deaths[f"{victim.name} at work"] += 1
        victim.kill()
        notes.heads.append(head())
        victim.start()
    await victim.serves()


# -- clients -----------------------------------------------------------------------------------------------------------


@dataclass
class Clients:
    """Callers that go on whatever happens; a call that fails is never made again, the next one is a new one."""

    gateway: str
    mcp: str
    key: str
    notes: Notes

    async def work(self, call: Call, name: str) -> None:
        """Make one call after another until it is over."""
        headers = {"authorization": f"Bearer {self.key}", "x-wicket-session": name}
        number = 0
        async with httpx.AsyncClient(headers=headers, timeout=PATIENCE) as http:
            while not self.notes.over:
                number += 1
                text = f"{name}-{number}"
                self.notes.sent.add(text)
                try:
                    await call(http, text)
                except httpx.TransportError:
                    self.notes.lost += 1

    async def ask(self, http: httpx.AsyncClient, text: str, model: str = "mock/gpt-4o-mini") -> None:
        """A model call."""
        answer = await http.post(f"{self.gateway}/v1/chat/completions", json=question(text, model))
        exchange = answer.headers.get("x-wicket-exchange", "")
        if model.startswith("secret"):
            self._note(answer, answer.status_code == 403, self.notes.denied_models, exchange)
        elif self._note(answer, answer.status_code == 200, self.notes.models, exchange):
            self.notes.heard["gateway"].set()

    async def stream(self, http: httpx.AsyncClient, text: str) -> None:
        """A model call whose answer is streamed; it counts as answered when its last line has come."""
        body = question(text, "mock/gpt-4o-mini") | {"stream": True, "stream_options": {"include_usage": True}}
        async with http.stream("POST", f"{self.gateway}/v1/chat/completions", json=body) as answer:
            lines = [line async for line in answer.aiter_lines()]
        exchange = answer.headers.get("x-wicket-exchange", "")
        self._note(answer, "data: [DONE]" in lines, self.notes.models, exchange)

    async def mark(self, http: httpx.AsyncClient, text: str, server: str = "ledger", tool: str = "mark") -> None:
        """A tool call that leaves a mark, or that policy refuses."""
        params: dict[str, Any] = {"name": tool, "arguments": {"text": text}, "_meta": META}
        headers = {
            "accept": "application/json, text/event-stream", "mcp-protocol-version": MODERN,
            "mcp-method": "tools/call", "mcp-name": tool,
        }  # fmt: skip
        call: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = await http.post(f"{self.mcp}/mcp/{server}", json=call, headers=headers)
        if tool == "forbidden":
            self._note(answer, "out of bounds" in answer.text, self.notes.denied_tools, text)
        elif self._note(answer, f"marked {text}" in answer.text, self.notes.tools, text):
            self.notes.heard["mcp"].set()

    def _note(self, answer: httpx.Response, expected: bool, notes: list[str], what: str) -> bool:
        if expected:
            notes.append(what)
        else:
            self.notes.odd.append(f"{answer.status_code}: {what}")
        return expected

    def all(self) -> list[tuple[Call, str]]:
        """One caller of each kind, and two of the kinds that matter most."""
        return [
            (self.ask, "ask-1"),
            (self.stream, "stream-1"),
            (partial(self.ask, model="secret-1"), "denied-ask"),
            (self.mark, "http-1"),
            (self.mark, "http-2"),
            (partial(self.mark, server="piped"), "piped-1"),
            (partial(self.mark, tool="forbidden"), "denied-mark"),
        ]


def question(text: str, model: str) -> dict[str, Any]:
    """A model call in OpenAI's shape."""
    return {"model": model, "messages": [{"role": "user", "content": text}]}


# -- what is left ------------------------------------------------------------------------------------------------------


class Evidence:
    """The audit log, read with nothing but SQL."""

    def __init__(self, database: Path) -> None:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT seq, hash, body FROM audit_events ORDER BY seq").fetchall()
        connection.close()
        self.hashes: dict[int, str] = {seq: digest for seq, digest, _ in rows}
        self.admitted: dict[str, str] = {}
        """Exchange id by the digest of the arguments of a tool call."""
        self.refused: set[str] = set()
        """Digests of the arguments of refused tool calls, and ids of refused exchanges."""
        self.admitted_bodies: set[str] = set()
        """Digests of requests."""
        self.completed: set[str] = set()
        """Exchange ids."""
        for *_, body in rows:
            self._take(json.loads(body))

    def _take(self, event: dict[str, Any]) -> None:
        match event["event_type"]:
            case "exchange.admitted":
                self.admitted_bodies.add(event["content_digest"])
                if "arguments_digest" in event:
                    self.admitted[event["arguments_digest"]] = event["exchange_id"]
            case "exchange.refused":
                self.refused |= {event["exchange_id"], event.get("arguments_digest", "")}
            case "exchange.completed":
                self.completed.add(event["exchange_id"])
            case _:
                pass

    def decision(self, text: str) -> str | None:
        """The exchange that was admitted to leave this mark."""
        return self.admitted.get(digest(text))

    def unfinished(self, marks: Iterable[str]) -> int:
        """How many marks there are whose call was cut down before its outcome was written."""
        return sum(self.decision(text) not in self.completed for text in marks)

    def is_sent(self, raw: bytes) -> bool:
        """Whether a request that the provider got was admitted."""
        return sha256(raw).hexdigest() in self.admitted_bodies


def digest(text: str) -> str:
    """The digest of the arguments of a call."""
    return jsontree.digest({"text": text})


def head(database: Path) -> tuple[int, str]:
    """Where the log ends now."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    seq, last = connection.execute("SELECT seq, hash FROM audit_head").fetchone()
    connection.close()
    return seq, last


@contextmanager
def outside_ledger(ledger: Path) -> Generator[str]:
    """The address of an MCP server on the official SDK that no kill reaches."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(LEDGER_SERVER), str(ledger), str(port)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ),
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(PATIENCE)
