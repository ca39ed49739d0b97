"""A process whose disk is full for a while: `python cramped.py DATABASE`.

The limit on the size of files stands for the full disk. Prints `refused` and `recovered` as it goes.
"""

import resource
import sys

import anyio

from governance.audit.event import AuditError, Draft, Tag
from governance.audit.log import Journal
from governance.clock import SystemClock
from governance.store import open_store

MASTER = bytes(range(32))
DRAFT = Draft(Tag.EXCHANGE_ADMITTED, {"exchange_id": "exc_1", "reason": "x" * 20_000})


async def main(url: str) -> None:
    wal = anyio.Path(url.removeprefix("sqlite:///") + "-wal")
    async with open_store(url) as store:
        journal = Journal(store, MASTER, SystemClock())
        for _ in range(3):
            await journal.append(DRAFT)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((await wal.stat()).st_size + 10_000, hard))
        refused = 0
        async with anyio.create_task_group() as group:

            async def fail() -> None:
                nonlocal refused
                try:
                    await journal.append(DRAFT)
                except AuditError:
                    refused += 1

            for _ in range(5):
                group.start_soon(fail)
        print(f"refused {refused}", flush=True)  # noqa: T201 - this is how the test reads it
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        receipt = await journal.append(DRAFT)
        print(f"recovered {receipt.seq}", flush=True)  # noqa: T201 - this is how the test reads it


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
