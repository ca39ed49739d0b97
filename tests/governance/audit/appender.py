"""A process that appends as fast as it can and says what was acknowledged, until its standard input ends.

Run as `python appender.py DATABASE NAME TASKS`. Prints `ready`, then a line `SEQ HASH MICROSECONDS` for each event.
"""

import os
import sys

import anyio
from anyio import to_thread

from governance.audit.event import Draft, Tag
from governance.audit.log import Journal
from governance.clock import SystemClock
from governance.store import open_store

MASTER = bytes(range(32))


async def main(url: str, name: str, tasks: int) -> None:
    clock = SystemClock()
    async with open_store(url) as store, anyio.create_task_group() as group:
        journal = Journal(store, MASTER, clock, writer=name)

        async def append_on_and_on(task: int) -> None:
            count = 0
            while True:
                start = clock.monotonic()
                receipt = await journal.append(
                    Draft(Tag.EXCHANGE_ADMITTED, {"exchange_id": f"{name}_{task}_{count}", "session_id": name})
                )
                took = int((clock.monotonic() - start) * 1e6)
                os.write(1, f"{receipt.seq} {receipt.hash} {took}\n".encode())
                count += 1

        os.write(1, b"ready\n")
        for task in range(tasks):
            group.start_soon(append_on_and_on, task)
        await to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
