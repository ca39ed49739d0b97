"""A channel of the configuration, from a call through the guard to what its readers see."""

from pathlib import Path

import pytest

from governance.jsontree import JsonObject
from governance.stage import RefusedError
from tests.approvals.webhook.receiver import receiving
from tests.conftest import ManualClock
from tests.e2e.stack import eventually
from tests.pipeline.test_passage import HOLD, policy, run
from tests.pipeline.world import open_world


async def test_a_held_call_is_told_in_the_chat_as_it_stands_after_redaction(
    sqlite_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    with receiving() as chat:
        url = f"http://localhost:{chat.port}/hook"
        ops: JsonObject = {"type": "slack", "url": url, "allow_private": ["localhost"]}
        approvals: JsonObject = {"wait_seconds": 0, "channels": {"ops": ops}}
        async with open_world(sqlite_url, tmp_path, clock, policy(HOLD), approvals=approvals) as world:
            with pytest.raises(RefusedError) as refused:
                await run(world, world.call(to="ssn 536-22-1234", n=1), [])
            await eventually(lambda: bool(chat.received))
    ((_, body),) = chat.received
    assert refused.value.link.encode() in body
    assert b"[REDACTED:pii.ssn]" in body
    assert b"536-22-1234" not in body
