"""Granting more than one call on the command line, and ending it."""

from dataclasses import replace
from pathlib import Path

import pytest

from approvals.attendance import Unattended
from governance.verdict import Decision, Leave, Reach, Verdict
from tests.approvals.calls import tool_call
from tests.wicket.conftest import Wicket, in_office
from wicket.office import Office

LEAVE = Leave("writes", "a" * 64, Reach.PATTERN, 3600, 20)
ASKS = Verdict(Decision.HOLD, by="policy", rule="writes", leaves=(LEAVE,))


def waiting(verdict: Verdict = ASKS) -> str:
    async def hold(office: Office) -> str:
        call = replace(tool_call({"path": "/tmp/\u001ba", "n": 1}), at=office.clock.now())
        return (await office.desk.hold(call, verdict, attendance=Unattended(0))).ticket

    return in_office(hold)


def test_a_grant_is_given_listed_shown_and_revoked_once(wicket: Wicket, installed: Path):
    assert wicket("grants", "list").out == "nothing is granted\n"
    flags = ("--arg", "/path=/tmp/*", "--arg", '/n={"le": 5}', "--any-session", "--minutes", "30", "--uses", "3")
    assert wicket("approvals", "approve", waiting(), *flags).code == 0
    (listed,) = wicket("grants", "list", "--json").json
    assert (listed["state"], listed["tool"], listed["uses"], listed["session"]) == ("active", "write_file", 3, "")
    assert listed["arguments"] == {"/n": {"le": 5}, "/path": "/tmp/*"}
    assert listed["given_by"].startswith("cli")
    assert "/tmp/*" in wicket("grants", "show", listed["id"]).out
    assert wicket("grants", "show", listed["id"], "--json").json == listed
    assert wicket("grants", "revoke", listed["id"], "--reason", "done").out == f"revoked `{listed['id']}`\n"
    ran = wicket("grants", "revoke", listed["id"])
    assert (ran.code, ran.err) == (
        4, f"error: the grant `{listed['id']}` is ended already, so nothing was changed\n"
    )  # fmt: skip
    assert wicket("grants", "list", "--json").json == []
    (ended,) = wicket("grants", "list", "--all", "--json").json
    assert (ended["state"], ended["end_reason"]) == ("ended", "done")


def test_by_itself_a_grant_is_for_the_same_call_in_the_same_session(wicket: Wicket, installed: Path):
    assert wicket("approvals", "approve", waiting(), "--grant").code == 0
    (listed,) = wicket("grants", "list", "--json").json
    assert (listed["session"], listed["uses"]) == ("ses_1", 20)
    assert listed["arguments"] == {"/n": 1, "/path": "/tmp/\u001ba"}
    assert "\u001b" not in wicket("grants", "show", listed["id"]).out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--uses", "21"), "give 1 to 20 uses"),
        (("--minutes", "61"), "it must end between now and"),
        (("--until", "tomorrow"), "`until` is a time with its zone"),
        (("--arg", "path=x"), "JSON pointer"),
        (("--minutes", "5", "--until", "2999-01-01T00:00:00Z"), "give one of `minutes` and `until`"),
    ],
)
def test_what_cannot_be_granted_is_told_and_changes_nothing(
    wicket: Wicket, installed: Path, flags: tuple[str, ...], said: str
):
    ticket = waiting()
    ran = wicket("approvals", "approve", ticket, *flags)
    assert (ran.code, said in ran.err) == (2, True), ran.err
    assert wicket("approvals", "show", ticket, "--json").json["state"] == "pending"


def test_a_rule_may_want_to_be_asked_about_each_call(wicket: Wicket, installed: Path):
    ticket = waiting(replace(ASKS, leaves=(replace(LEAVE, reach=Reach.ONCE),)))
    ran = wicket("approvals", "approve", ticket, "--grant")
    assert (ran.code, "wants to be asked about each call" in ran.err) == (2, True)


@pytest.mark.parametrize("command", ["show", "revoke"])
def test_a_grant_that_is_not_there_is_told(wicket: Wicket, installed: Path, command: str):
    ran = wicket("grants", command, "grt_none")
    assert (ran.code, ran.err) == (
        4, "error: there is no grant `grt_none`: `wicket grants list --all` shows all\n"
    )  # fmt: skip


def test_a_kill_on_the_command_line_closes_tickets_and_ends_grants(wicket: Wicket, installed: Path):
    assert wicket("approvals", "approve", waiting(), "--grant").code == 0
    assert wicket("kill", "--scope", "key", "key_1", "--reason", "enough").code == 0
    assert wicket("grants", "list", "--json").json == []
    assert [one["state"] for one in wicket("approvals", "list", "--all", "--json").json] == ["invalidated"]
