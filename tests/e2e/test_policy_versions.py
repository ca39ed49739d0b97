"""A policy that turned out to be wrong is brought back, in an installation that goes on serving."""

from typing import Any

import pytest

from tests.e2e.stack import POLICY, Stack, eventually, text_of

OPEN: dict[str, Any] = {"version": 1, "default": "allow", "rules": []}


def in_force(stack: Stack) -> dict[str, Any]:
    (first, *_) = stack.cli("policy", "versions")
    assert first["in_force"]
    return dict(first)


def loaded(stack: Stack, version: str) -> int:
    events = stack.cli("audit", "show", "--type", "policy.loaded")
    return sum(1 for event in events if event["policy_version"] == version)


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return {"policy": POLICY}


async def test_an_earlier_policy_is_brought_back_and_both_proxies_take_it_up(stack: Stack) -> None:
    good = in_force(stack)
    assert (good["rules"], good["loads"]) == (len(POLICY["rules"]), 2)
    async with stack.tools(session="rollback") as tools:
        assert "`never`" in text_of(await tools.call_tool("forbidden", {"text": "x"}))
        (stack.folder / "policy.yaml").write_text("# who needs rules\nversion: 1\n")
        await eventually(lambda: in_force(stack)["version"] != good["version"] and in_force(stack)["loads"] == 2)
        open_version = in_force(stack)["version"]
        assert not (await tools.call_tool("forbidden", {"text": "x"})).is_error

        differs = stack.cli("policy", "diff", good["version"][:8], expect=1)
        assert {(one["rule"], one["how"]) for one in differs["rules"]} >= {("never", "removed")}
        assert stack.cli("policy", "diff", good["version"][:8], good["version"])["rules"] == []

        dry = stack.cli("policy", "rollback", good["version"][:8], "--dry-run")
        assert (dry["written"], dry["changed"], len(dry["backups"])) == ([], "", 0)
        assert {one["rule"] for one in dry["rules"]} >= {"never", "marks-wait"}
        assert "--reason" in stack.cli("policy", "rollback", good["version"][:8], expect=2)["errors"][0]

        done = stack.cli("policy", "rollback", good["version"][:8], "--reason", "nobody meant to open this")
        (backup,) = done["backups"]
        assert "who needs rules" in (stack.folder / backup).read_text()
        await eventually(lambda: loaded(stack, good["version"]) == 4)
        assert "`never`" in text_of(await tools.call_tool("forbidden", {"text": "x"}))

    again = in_force(stack)
    assert (again["version"], again["reason"]) == (good["version"], "nobody meant to open this")
    (event,) = stack.cli("audit", "show", "--type", "policy.rolled_back")
    assert (event["policy_version"], event["previous_version"]) == (good["version"], open_version)
    assert event["actor"].startswith("cli")


def test_an_edit_that_nobody_took_up_is_not_lost(stack: Stack) -> None:
    version = in_force(stack)["version"]
    path = stack.folder / "policy.yaml"
    right = path.read_text()
    path.write_text("version: 1\nrules: [{id: half-wri")
    refused = stack.cli("policy", "rollback", version, "--reason", "x", expect=4)
    assert "the files on disk are wrong" in refused["errors"][0]
    assert "half-wri" in path.read_text()
    forced = stack.cli("policy", "rollback", version, "--reason", "x", "--force")
    assert path.read_text() == right
    assert "half-wri" in (stack.folder / forced["backups"][0]).read_text()
    assert "was ever in force" in stack.cli("policy", "rollback", "0" * 64, "--reason", "x", expect=4)["errors"][0]
