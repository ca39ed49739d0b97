"""Two processes race over one store, and nothing that was not approved is ever made (`make approvals-property`)."""

import json
import logging
import os
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from governance.audit.log import Journal as AuditLog
from governance.identity.keys import Grant, mint
from governance.identity.store import SqlKeys
from governance.policy.load import load as load_policy
from governance.store import Store, open_store
from governance.store.tables import EventRow, TicketRow, VoteRow
from tests.approvals.property.board import Board, SharedClock, create
from tests.approvals.property.journal import load
from tests.approvals.property.judge import Evidence, judge, story
from tests.approvals.property.scene import USERS, VARIANTS, WORKERS, write_policy
from tests.pipeline.world import SECRETS

log = logging.getLogger("race")

ROOT = Path(__file__).resolve().parents[3]
STEPS, SEED = "WICKET_APPROVAL_STEPS", "WICKET_APPROVAL_SEED"
OFTEN = 20_000
"""Steps in which everything there is must have happened."""


async def test_no_approval_is_used_twice_late_or_for_anything_else(database_url: str, tmp_path: Path) -> None:
    steps = int(os.environ.get(STEPS, "2000"))
    seed = os.environ.get(SEED) or str(secrets.randbelow(10**9))
    create(tmp_path / "board")
    settings: dict[str, Any] = {
        "database": database_url, "board": str(tmp_path / "board"), "folder": str(tmp_path), "seed": seed,
        "steps": steps // WORKERS,
    }  # fmt: skip
    async with open_store(database_url) as store:
        users, settings["tokens"] = await keys(store, SharedClock(Board(tmp_path / "board")))
        race(settings, tmp_path)
        evidence = await gathered(store, tmp_path, users)
    faults = judge(evidence)
    told = [line for fault in faults[:5] for line in (fault, *story(evidence, fault))]
    assert not faults, "\n".join([f"{len(faults)} faults; {SEED}={seed} {STEPS}={steps} takes the same steps", *told])
    assert missing(evidence, steps) == []


async def keys(store: Store, clock: SharedClock) -> tuple[dict[str, str], list[str]]:
    """A key for each user: whom each stands for, and the tokens."""
    table = SqlKeys(store, AuditLog(store, SECRETS.master, clock), clock)
    minted = [mint(Grant(name=f"agent-{user}", user=user, agent="builder"), clock.now()) for user in USERS]
    for one in minted:
        await table.add(one.key, actor="test")
    return {one.key.id: one.key.grant.user for one in minted}, [one.token for one in minted]


def race(settings: dict[str, Any], folder: Path) -> None:
    """Start both processes, let them go at the same moment, and wait for their end."""
    running: list[subprocess.Popen[str]] = []
    for worker in range(WORKERS):
        file = folder / f"worker-{worker}.json"
        file.write_text(json.dumps({**settings, "worker": worker}))
        command = [sys.executable, "-m", "tests.approvals.property.worker", str(file)]
        running.append(subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    try:
        for one in running:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in running:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        patience = 120 + settings["steps"] / 10  # a machine that does twenty things at once is slow, and not wrong
        assert [one.wait(patience) for one in running] == [0] * WORKERS
    finally:
        for one in running:
            one.kill()
            one.communicate()


async def gathered(store: Store, folder: Path, users: dict[str, str]) -> Evidence:
    """Everything that the race left."""

    def work(session: Session) -> tuple[list[str], list[TicketRow], list[VoteRow]]:
        bodies = list(session.exec(select(EventRow.body).order_by(col(EventRow.seq))))
        return bodies, list(session.exec(select(TicketRow))), list(session.exec(select(VoteRow)))

    bodies, tickets, votes = await store.read(work)
    variants: dict[str, int] = {}
    for variant in range(VARIANTS):
        write_policy(folder / "variant.yaml", variant)
        variants[load_policy([folder / "variant.yaml"]).version] = variant
    journals = [load(json.loads((folder / f"journal-{worker}.json").read_text())) for worker in range(WORKERS)]
    return Evidence(
        [json.loads(body) for body in bodies], {row.id: row for row in tickets}, votes, journals, users, variants
    )


def missing(evidence: Evidence, steps: int) -> list[str]:
    """What a race of this length must have brought about, and did not: then it shows less than it says."""
    kinds = Counter(str(one["event_type"]) for one in evidence.events)
    refusals = sum((Counter(journal.refusals) for journal in evidence.journals), Counter[str]())
    made = [one for _, one in evidence.forwarded]
    changed = [one for one in evidence.tickets.values() if one.state == "consumed" and one.edited_digest]
    log.info("%d calls made, %d of them changed by a person; %s; refused: %s", len(made), len(changed), kinds, refusals)
    wanted = ["approval.requested", "approval.granted", "approval.consumed", "approval.expired", "exchange.admitted"]
    if steps >= OFTEN:
        wanted += ["approval.voted", "approval.denied", "approval.prolonged", "session.killed", "session.revived"]
    lacking = [kind for kind in wanted if not kinds[kind]]
    if steps >= OFTEN:
        rare = ["kill.session", "approval.used", "approval.pending", "pin.drift", "approval.stale", "client.left"]
        lacking += [rule for rule in (*rare, "approval.denied", "approval.expired") if not refusals[rule]]
        lacking += ["changed calls"] * (not changed)
    return lacking + ["calls"] * (len(made) < steps // 400)
