"""One of the two processes of the race, as a program: `python -m tests.approvals.property.worker SETTINGS`.

Says `ready`, waits for a line, takes its steps, and leaves its journal.
"""

import asyncio
import json
import sys
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, and handed in
from typing import Any

import anyio
import uvloop

from governance import jsontree
from governance.config.models import Config
from pipeline.runtime import open_runtime
from tests.approvals.property.board import Board, SharedClock
from tests.approvals.property.journal import Journal, Span
from tests.approvals.property.scene import TIMEOUT, USERS, definition, write_policy
from tests.approvals.property.steps import SERVER, Actor, Place, define
from tests.pipeline.world import SECRETS

ACTORS = 12
"""Of each process, at the same time."""


async def race(told: dict[str, Any]) -> None:
    """Open everything, wait for the start, and run."""
    worker, folder = int(told["worker"]), Path(told["folder"])
    board = Board(Path(told["board"]))
    clock, policy = SharedClock(board), folder / f"policy-{worker}.yaml"
    write_policy(policy, 0)
    config = Config.model_validate(
        {
            "database": told["database"],
            "policies": [str(policy)],
            "state": str(folder),
            "mcpServers": {SERVER: {"url": "http://127.0.0.1/"}},
            "detect": {"engine": "re"},
            "loop": {"tools": {"*": {"exempt": True}}, "rate_per_minute": 0},
            "approvals": {"timeout_seconds": TIMEOUT, "wait_seconds": 0},
        }
    )
    async with open_runtime(config, SECRETS, clock=clock, process=f"race-{worker}", console="http://c") as runtime:
        principals = [runtime.identity.principal(token) for token in told["tokens"]]
        assert len(principals) == len(USERS)
        journal = Journal(worker, policies=[Span(0, 0, runtime.policies.current.version)])
        place = Place(worker, runtime, board, clock, principals, policy, journal)
        if worker == 0:
            await define(place, 0)
        journal.definitions.append(Span(0, 0, jsontree.digest(definition(0))))
        print("ready", flush=True)  # noqa: T201 - what the parent waits for
        await anyio.to_thread.run_sync(sys.stdin.readline)
        async with anyio.create_task_group() as group:
            for number in range(ACTORS):
                actor = Actor(place, Random(f"{told['seed']}/{worker}/{number}"))
                group.start_soon(actor.run, int(told["steps"]) // ACTORS)
    (folder / f"journal-{worker}.json").write_text(json.dumps(journal.dump()))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(race(json.loads(Path(sys.argv[1]).read_text())))
