"""Seeing and stopping runs on the command line."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from governance.audit.event import Draft, Tag, Value
from sessions.labels.book import Label
from sessions.roll import Run
from tests.wicket.conftest import Wicket, in_office
from wicket.office import Office

TIME = "2026-11-21T12:00:00.000000Z"


def run_of(run_id: str, **fields: Any) -> Run:
    known: dict[str, Any] = {"key_id": "key_1", "tenant": "acme", "agent": "coder", "source": "", **fields}
    return Run(id=run_id, evidence="explicit", rank=1, plane="llm", first_seen=TIME, last_seen=TIME, **known)


@pytest.fixture(autouse=True)
def runs(installed: Path) -> None:
    async def note(office: Office) -> None:
        for run in (run_of("s1"), run_of("s2", agent="other", key_id="key_2", tenant="else")):
            await office.store.write(office.runs.upsert(run))

    in_office(note)


def states(wicket: Wicket) -> dict[str, str]:
    return {run["id"]: run["state"] for run in wicket("sessions", "list", "--json").json}


def test_runs_are_listed_and_shown(wicket: Wicket):
    assert states(wicket) == {"s1": "ended", "s2": "ended"}
    assert "coder" in wicket("sessions", "list").out
    assert "acme" in wicket("sessions", "show", "s1").out


def called(session: str, tool: str, **more: Value) -> None:
    """A call in a run, as the log tells it."""
    fields: dict[str, Value] = {"session_id": session, "tenant_id": "acme", "action": "tool.call", "tool": tool, **more}

    async def note(office: Office) -> None:
        await office.audit.append(Draft(Tag.EXCHANGE_ADMITTED, {**fields, "policy_decision": "allow"}))

    in_office(note)


def test_runs_are_filtered_like_on_the_console(wicket: Wicket):
    called("s1", "search", agent="coder")
    called("s2", "delete", agent="other")
    for words, found in (
        (["--tool", "delete"], ["s2"]), (["--agent", "coder"], ["s1"]), (["--text", "sear"], ["s1"]),
        (["--state", "active"], []), (["--state", "ended", "--tool", "search"], ["s1"]),
        (["--since", "2030-01-01"], []),
    ):  # fmt: skip
        assert [run["id"] for run in wicket("sessions", "list", "--json", *words).json] == found, words
    ran = wicket("sessions", "list", "--limit", "1")
    assert "there are more: `--before " in ran.err
    behind = ran.err.split("`--before ")[1].split("`")[0]
    assert [run["id"] for run in wicket("sessions", "list", "--json", "--before", behind).json] == ["s1"]
    assert wicket("sessions", "list", "--tool", "never").out == "no session fits\n"
    wrong = wicket("sessions", "list", "--since", "yesterday")
    assert (wrong.code, "`yesterday` is not a time" in wrong.err) == (2, True)


def test_runs_are_exported_as_lines_and_as_a_sheet(wicket: Wicket, tmp_path: Path):
    called("s1", "search", classification=["pii.email"])
    ran = wicket("sessions", "export")
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == ["s2", "s1"]
    assert ran.err == "2 sessions written\n"
    assert wicket("sessions", "export", "--format", "csv", "--tool", "search", "--out", "out.csv").out == ""
    with (tmp_path / "out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["state"], row["tools"], row["calls"], row["verdicts"]) == (
        "s1",
        "ended",
        "search",
        "1",
        "allow=1",
    )
    lost = wicket("sessions", "export", "--out", "no/such/folder.csv")
    assert (lost.code, "cannot be written" in lost.err) == (4, True)


def test_the_index_is_made_anew_from_the_log(wicket: Wicket):
    called("s1", "search")
    count = wicket("db", "index", "--json").json["events"]
    assert count > 0
    assert wicket("db", "index", "--anew", "--json").json["events"] == count
    assert [run["tools"] for run in wicket("sessions", "list", "--json", "--tool", "search").json] == [["search"]]


def test_a_verification_is_written_down_where_that_is_asked_for(wicket: Wicket):
    checked = wicket("audit", "verify", "--record", "--json").json["checked"]
    (event,) = wicket("audit", "show", "--type", "audit.verified", "--json").json
    assert (event["checked"], event["sound"], event["sealed"]) == (checked, True, True)
    assert event["actor"].startswith("cli")
    assert wicket("audit", "verify").code == 0
    assert len(wicket("audit", "show", "--type", "audit.verified", "--json").json) == 1


def test_what_a_run_is_labelled_with_is_shown_with_what_set_it(wicket: Wicket):
    async def label(office: Office) -> None:
        marks = [Label("untrusted_content", "server:web", "exc_1", TIME), Label("mine", "rule:crm", "exc_2", TIME)]
        await office.store.write(office.labels.add("s1", marks))

    in_office(label)
    shown = wicket("sessions", "show", "s1").out
    assert f"labels          untrusted_content (set by server:web at {TIME})\n" in shown
    assert f"                mine (set by rule:crm at {TIME})\n" in shown
    assert wicket("sessions", "show", "s1", "--json").json["labels"][1]["source"] == "rule:crm"
    assert "untrusted_content, mine" in wicket("sessions", "list").out
    assert [run["labels"] for run in wicket("sessions", "list", "--json").json if run["id"] == "s2"] == [[]]
    assert "labels          -\n" in wicket("sessions", "show", "s2").out


def test_a_run_is_shown_with_how_it_is_known_and_with_its_kin(wicket: Wicket):
    async def note(office: Office) -> None:
        for run in (replace(run_of("s3"), parent_id="s1", verified=True), run_of("s4", source="transport=mcp-9")):
            await office.store.write(office.runs.upsert(run))
        await office.runs.join("s4", "s1")

    in_office(note)
    shown = wicket("sessions", "show", "s1", "--json").json
    assert (shown["known"], shown["started"], shown["parts"]) == ("asserted by the client", ["s3"], ["s4"])
    assert wicket("sessions", "show", "s3", "--json").json["known"] == "verified by us"
    assert "s3" in wicket("sessions", "show", "s1").out
    for name in ("s4", "mcp-9"):
        assert wicket("sessions", "show", name, "--json").json["id"] == "s1"
    assert wicket("kill", "mcp-9", "--reason", "it loops").out == "stopped session `s1`\n"
    assert set(states(wicket)) == {"s1", "s2", "s3"}


def test_a_run_is_stopped_and_let_go_on(wicket: Wicket):
    ran = wicket("kill", "s1", "--reason", "it loops")
    assert (ran.code, ran.out) == (0, "stopped session `s1`\n")
    assert states(wicket) == {"s1": "killed", "s2": "ended"}
    assert wicket("sessions", "show", "s1", "--json").json["killed_because"] == "it loops"
    assert wicket("kill", "s1", "--reason", "again", "--json").json["changed"] is False
    assert wicket("revive", "s1").code == 0
    assert states(wicket) == {"s1": "ended", "s2": "ended"}
    types = [event["event_type"] for event in wicket("audit", "show", "--session", "s1", "--json").json]
    assert types[0] == "session.revived"
    assert "session.killed" in types


@pytest.mark.parametrize(
    ("scope", "target", "killed"),
    [("key", ["key_1"], {"s1"}), ("agent", ["other"], {"s2"}), ("tenant", ["acme"], {"s1"}), ("all", [], {"s1", "s2"})],
)
def test_more_than_one_run_can_be_stopped_at_once(wicket: Wicket, scope: str, target: list[str], killed: set[str]):
    arguments = ("--scope", scope, *target)
    assert wicket("kill", *arguments, "--reason", "enough").code == 0
    assert {name for name, state in states(wicket).items() if state == "killed"} == killed
    assert wicket("revive", *arguments).code == 0
    assert wicket("revive", *arguments).code == 4


def test_a_run_that_is_not_known_is_not_stopped_in_silence(wicket: Wicket):
    for command in (["kill", "--reason", "enough"], ["revive"], ["sessions", "show"]):
        ran = wicket(*command, "s9")
        assert ran.code == 4
        assert ran.err == "error: there is no session `s9`: `wicket sessions list` shows them\n"


def test_a_run_that_was_not_stopped_cannot_be_revived(wicket: Wicket):
    ran = wicket("revive", "s1")
    assert (ran.code, ran.err) == (4, "error: the session `s1` is not stopped: nothing was changed\n")


def test_what_to_stop_must_be_said(wicket: Wicket):
    assert wicket("kill", "--reason", "enough").code == 2
    assert wicket("kill", "s1").code == 2
    assert wicket("kill", "s1", "--reason", " ").code == 2
    assert wicket("revive", "--scope", "agent").code == 2


def test_what_is_stopped_is_listed_with_who_carried_it_out(wicket: Wicket):
    assert "nothing is stopped" in wicket("kills").out
    wicket("kill", "s1", "--reason", "it loops")
    wicket("kill", "--scope", "server", "files", "--reason", "it leaks")
    listed = wicket("kills", "--json").json
    assert [(one["scope"], one["target"], one["reason"]) for one in listed] == [
        ("server", "files", "it leaks"), ("session", "s1", "it loops"),
    ]  # fmt: skip
    assert [one["waiting"] for one in listed] == [[], []]


def test_a_run_is_let_go_on_by_half_and_then_wholly(wicket: Wicket):
    wicket("kill", "s1", "--reason", "it loops")
    assert "a person asked" in wicket("revive", "s1", "--probation").out
    assert states(wicket)["s1"] == "probation"
    assert wicket("revive", "s1", "--probation").code == 4
    assert wicket("kills", "--json").json[0]["probation"] is True
    assert wicket("revive", "s1").code == 0
    assert states(wicket)["s1"] == "ended"
