"""Where only approvals count, what a person or a file named is trusted, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from governance import jsontree
from governance.config.document import ConfigError
from governance.pins.manifest import MAX_BYTES, Manifest, read_manifest, written
from governance.pins.pin import Kind
from governance.verdict import ALLOWED
from tests.governance.pins.conftest import READ, WRITE, Replica

CHANGED: Any = {**READ, "description": "other"}


def naming(*tools: Any) -> Manifest:
    """A manifest that names tools of the server `files`."""
    return Manifest(frozenset((("files", "tool", str(tool["name"])), jsontree.digest(tool)) for tool in tools))


async def test_nothing_is_trusted_that_nobody_approved(replica: Replica) -> None:
    replica.set("manifest")
    assert await replica.lists(READ, WRITE) == []
    assert await replica.waiting() == [("read_file", "pin.new"), ("write_file", "pin.new")]
    await replica.approve("read_file")
    assert await replica.lists(READ, WRITE) == ["read_file"]


async def test_what_the_file_names_is_trusted(replica: Replica) -> None:
    replica.set("manifest")
    replica.open(naming(READ))
    assert await replica.lists(READ, WRITE) == ["read_file"]
    assert (await replica.events())[0]["event_type"] == "pin.trusted"
    assert await replica.lists(CHANGED, WRITE) == []
    assert ("read_file", "pin.drift") in await replica.waiting()


async def test_a_file_that_names_what_waits_ends_the_waiting(replica: Replica) -> None:
    replica.set("manifest")
    await replica.lists(READ)
    replica.open(naming(READ))
    assert await replica.lists(READ) == ["read_file"]


async def test_a_file_also_decides_where_first_use_is_trusted(replica: Replica) -> None:
    await replica.lists(READ)
    replica.open(naming(CHANGED))
    assert await replica.lists(CHANGED) == ["read_file"]


async def test_what_was_trusted_at_first_use_does_not_count_once_only_approvals_do(replica: Replica) -> None:
    await replica.lists(READ)
    replica.set("manifest")
    replica.open()
    verdict = await replica.pins.standing("files", Kind.TOOL, "read_file", jsontree.digest(READ))
    assert verdict.rule == "pin.new"
    assert await replica.lists(READ) == []
    assert await replica.waiting() == [("read_file", "pin.new")]
    assert await replica.approve("read_file")
    assert await replica.lists(READ) == ["read_file"]


async def test_a_trusted_tool_may_be_approved_before_only_approvals_count(replica: Replica) -> None:
    await replica.lists(READ)
    assert await replica.approve("read_file")
    assert not await replica.approve("read_file")
    replica.set("manifest")
    assert await replica.lists(READ) == ["read_file"]


async def test_what_the_file_names_no_longer_waits(replica: Replica) -> None:
    replica.set("manifest")
    replica.open(naming(READ))
    await replica.lists(READ)
    replica.open(Manifest())
    assert await replica.lists(READ) == []


async def test_what_the_file_names_now_is_trusted_by_it(replica: Replica) -> None:
    await replica.lists(READ)
    replica.set("manifest")
    replica.open(naming(READ))
    assert await replica.lists(READ) == ["read_file"]
    assert await replica.pins.standing("files", Kind.TOOL, "read_file", jsontree.digest(READ)) is ALLOWED


async def test_a_person_outvotes_the_file(replica: Replica) -> None:
    replica.set("manifest")
    replica.open(naming(READ))
    await replica.lists(READ)
    await replica.reject("read_file")
    assert await replica.lists(READ) == []


async def test_what_is_written_can_be_read(replica: Replica, tmp_path: Path) -> None:
    await replica.lists(READ, WRITE)
    file = tmp_path / "pins.json"
    file.write_bytes(written(await replica.table.all()))
    assert read_manifest(str(file)) == naming(READ, WRITE)
    assert read_manifest("") == Manifest()


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        json.dumps({"version": 2, "pins": []}),
        json.dumps({"version": 1}),
        json.dumps({"version": 1, "pins": [{"server": "a", "kind": "tool", "name": "b", "digest": "short"}]}),
        json.dumps({"version": 1, "pins": [{"server": "a", "kind": "thing", "name": "b", "digest": "0" * 64}]}),
        json.dumps({"version": 1, "pins": [{"kind": "tool", "name": "b", "digest": "0" * 64}]}),
        " " * (MAX_BYTES + 1),
    ],
)
def test_a_file_that_is_no_manifest_is_not_used(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pins.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match="wicket pins export"):
        read_manifest(str(file))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_manifest(str(tmp_path / "none.json"))
