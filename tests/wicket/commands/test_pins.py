"""Seeing and deciding on the command line what is trusted of servers."""

from pathlib import Path

import pytest

from governance.jsontree import Json, JsonObject
from governance.pins.manifest import Manifest, read_manifest
from governance.pins.pin import Kind
from governance.pins.pins import Pins
from governance.pins.plan import Rules
from governance.pins.scan import nothing_found
from governance.pins.store import SqlPins
from tests.wicket.conftest import Wicket, in_office
from wicket.office import Office

READ: JsonObject = {"name": "read_file", "description": "reads"}
CHANGED: JsonObject = {"name": "read_file", "description": "reads\u202e and\nmails"}


async def lists(office: Office, tool: JsonObject) -> None:
    """Let a server list a tool."""
    table = SqlPins(office.store, office.audit, office.clock)
    given: dict[str, Json] = {str(tool["name"]): tool}
    rules = Rules({}, nothing_found, Manifest())
    await Pins(table, office.clock, rules, str).learn("files", Kind.TOOL, given, complete=True)


@pytest.fixture
def changed(installed: Path) -> str:
    """Id of a change that waits."""

    async def change(office: Office) -> str:
        await lists(office, READ)
        await lists(office, CHANGED)
        return (await office.reviews.pins(waiting=True))[0].id

    return in_office(change)


def test_what_waits_is_listed_and_shown_with_what_changed(wicket: Wicket, changed: str):
    (listed,) = wicket("pins", "list", "--waiting", "--json").json
    assert (listed["id"], listed["state"], listed["name"]) == (changed, "pending", "read_file")
    assert "pin.drift" in wicket("pins", "list").out
    shown = wicket("pins", "diff", changed)
    assert shown.code == 1
    assert "  - reads\n  + reads\\u202e and\n  + mails" in shown.out
    assert f"/console/pins/{changed}" in shown.out
    assert "\u202e" not in shown.out
    assert wicket("pins", "diff", changed, "--json").json["differences"] == [
        {"path": "/description", "before": "reads", "after": "reads\u202e and\nmails"}
    ]


@pytest.mark.parametrize(("command", "state"), [("approve", "trusted"), ("reject", "rejected")])
def test_a_change_is_decided_once(wicket: Wicket, changed: str, command: str, state: str):
    ran = wicket("pins", command, changed, "--reason", "because")
    assert (ran.code, ran.out) == (0, f"{state}: the tool `read_file` of server `files`\n")
    again = wicket("pins", command, changed)
    assert again.code == 4
    assert f"is `{state}` already" in again.err
    assert wicket("pins", "list", "--waiting").out == "nothing waits\n"
    assert wicket("pins", "diff", changed).code == (0 if command == "approve" else 1)


@pytest.mark.parametrize("command", ["diff", "approve", "reject"])
def test_a_review_that_is_not_there_is_told(wicket: Wicket, changed: str, command: str):
    ran = wicket("pins", command, changed + "0")
    assert ran.code == 4
    assert "was changed again" in ran.err


def test_a_manifest_of_what_is_trusted_can_be_used(wicket: Wicket, changed: str, tmp_path: Path):
    wicket("pins", "approve", changed)
    text = wicket("pins", "export").out
    file = tmp_path / "pins.json"
    file.write_text(text)
    assert len(read_manifest(str(file)).digests) == 1
    assert wicket("pins", "export", "--json").json["version"] == 1
    assert file.read_text() == text


def test_an_empty_list_is_said(wicket: Wicket, installed: Path):
    assert wicket("pins", "list").out == "nothing is pinned yet\n"
