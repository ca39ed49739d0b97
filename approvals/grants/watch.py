"""The watch that ends grants of rules which are not in force any more as they were."""

import logging
from collections.abc import Callable, Collection
from typing import NoReturn

import anyio

from approvals.grants.store import SqlGrants
from governance.clock import Clock

log = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0


async def watch(grants: SqlGrants, rules: Callable[[], Collection[str]], clock: Clock) -> NoReturn:
    """Look again and again: run it in a task group. What it ends covers no call any more as it is.

    Args:
        grants: the table.
        rules: gives the digests of the rules that hold calls now.
        clock: the only source of time.
    """
    while True:
        try:
            await grants.end_outdated(rules(), clock.now())
        except Exception as error:  # noqa: BLE001 - whatever broke, the next round may work; nothing is let through by it
            log.warning("grants cannot be read: %s", type(error).__name__)
        await anyio.sleep(SWEEP_SECONDS)
