"""kill -9, again and again, under load: nothing runs without a durable decision, and nothing that was said is lost."""

import json
import logging
import os
import random  # noqa: TID251 - seeded, and handed in
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.e2e.faults import Clients, Evidence, Notes, Victim, digest, head, kill_often, outside_ledger
from tests.e2e.provider import Provider
from tests.e2e.stack import configure, run_cli

pytestmark = pytest.mark.xdist_group("e2e-faults")

log = logging.getLogger("faults")

KILLS = "WICKET_KILLS"
PIPED_LEDGER = Path(__file__).with_name("faults_ledger.py")
UNLIMITED = {"tools": {"*": {"exempt": True}}, "rate_per_minute": 0}


@pytest.fixture
def folder(provider: Provider, tmp_path: Path) -> Iterator[Path]:
    """An installation with two servers that leave marks: one that outlives every kill, and a child of the MCP proxy."""
    tools = ["count", "mark", "forbidden"]
    database = tmp_path / ".wicket/wicket.db"
    piped = [str(PIPED_LEDGER), str(tmp_path / "piped"), str(database)]
    with outside_ledger(tmp_path / "ledger") as url:
        servers: dict[str, Any] = {
            "ledger": {"url": url, "tools": tools},
            # It answers nothing but calls, so there is nothing to pin.
            "piped": {"command": "python3", "args": piped, "tools": ["mark"], "pins": "off"},
        }
        configure(tmp_path, provider.port, mcpServers=servers, loop=UNLIMITED, detect={"engine": "re"})
        yield tmp_path


async def test_no_kill_at_any_moment_loses_or_invents_anything(
    folder: Path, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "httpx")  # it would say a line for every call
    kills = int(os.environ.get(KILLS, "12"))
    database = folder / ".wicket/wicket.db"
    key = json.loads(run_cli(folder, "init").stdout)["token"]
    victims = Victim("gateway", folder, "/healthz"), Victim("mcp", folder, "/health")
    notes = Notes()
    clients = Clients(victims[0].address, victims[1].address, key, notes)
    try:
        for victim in victims:
            victim.start()
        async with anyio.create_task_group() as load:
            for call, name in clients.all():
                load.start_soon(clients.work, call, name)
            async with anyio.create_task_group() as killers:
                for number, victim in enumerate(victims):
                    share = (kills + number) // 2
                    killers.start_soon(kill_often, victim, share, notes, random.Random(number), partial(head, database))
            notes.over = True
        await everything_still_works(clients)
    finally:
        codes = [victim.stop() for victim in victims]
    assert codes == [0, 0]
    judge(notes, Evidence(database), folder, provider)
    verify(folder, notes)
    assert sum(notes.deaths.values()) == kills


async def everything_still_works(clients: Clients) -> None:
    """One call of each kind, after the last death."""
    notes = clients.notes
    before = len(notes.models), len(notes.denied_models), len(notes.tools), len(notes.denied_tools)
    headers = {"authorization": f"Bearer {clients.key}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        for call, name in clients.all():
            notes.sent.add(f"last-{name}")
            await call(http, f"last-{name}")
    after = len(notes.models), len(notes.denied_models), len(notes.tools), len(notes.denied_tools)
    assert [new - old for old, new in zip(before, after, strict=True)] == [2, 1, 3, 1]


def judge(notes: Notes, evidence: Evidence, folder: Path, provider: Provider) -> None:
    """Hold what happened outside, and what the clients were told, to the log."""
    ledger = (folder / "ledger").read_text().splitlines()
    piped = [line.split(" ") for line in (folder / "piped").read_text().splitlines()]
    marks = ledger + [text for text, _ in piped]
    log.info("deaths: %s", ", ".join(f"{count} x {how}" for how, count in sorted(notes.deaths.items())))
    log.info(
        "%d events, %d marks (%d cut down before their outcome was written, %d decided and never left), "
        "%d model calls that the provider saw, %d answers heard, %d calls unheard",
        len(evidence.hashes), len(marks), evidence.unfinished(marks),
        len(evidence.admitted.keys() - {digest(text) for text in marks}),
        len(provider.seen), len(notes.models) + len(notes.tools), notes.lost,
    )  # fmt: skip
    # no side effect without a durable decision before it
    assert [text for text in marks if evidence.decision(text) is None] == []
    assert [text for text, decided in piped if decided != "decided"] == []
    assert [raw for raw in provider.seen if not evidence.is_sent(raw)] == []
    # nothing is done twice, or invented
    assert len(marks) == len(set(marks))
    assert len(provider.seen) == len(set(provider.seen))
    assert set(marks) <= notes.sent
    # whatever a client was told is true, and in the log
    assert set(notes.tools) <= set(marks)
    assert [text for text in notes.tools if evidence.decision(text) not in evidence.completed] == []
    assert [exchange for exchange in notes.models if exchange not in evidence.completed] == []
    assert [exchange for exchange in notes.denied_models if exchange not in evidence.refused] == []
    assert [text for text in notes.denied_tools if digest(text) not in evidence.refused] == []
    # no event that was ever in the log is lost
    assert [place for place in notes.heads if evidence.hashes.get(place[0]) != place[1]] == []
    assert notes.odd == []


def verify(folder: Path, notes: Notes) -> None:
    """The chain is whole, and still holds what was noted in the middle of it."""
    seq, last = notes.heads[len(notes.heads) // 2]
    done = run_cli(folder, "audit", "verify", "--head", f"{seq}:{last}")
    assert done.returncode == 0, done.stdout + done.stderr
