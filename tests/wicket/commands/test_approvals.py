"""Deciding about held calls on the command line."""

from pathlib import Path

import pytest

from approvals.attendance import Unattended
from governance.exchange import Action, Body, Exchange, Principal, Resource, SessionRef
from governance.verdict import Charter, Decision, Verdict
from tests.wicket.conftest import Wicket, in_office
from wicket.office import Office

ARGUMENTS = b'{"params":{"arguments":{"path":"/tmp/x","note":"a\\u202eb\\u001b[2J"}}}'


@pytest.fixture
def ticket(installed: Path) -> str:
    """Id of a ticket that a held call opened, whose agent went away."""
    return waiting(installed, Verdict(Decision.HOLD, by="policy", rule="writes", reason="it writes"))


@pytest.fixture
def repeated(installed: Path) -> str:
    """The same of a call that was held because it repeats."""
    return waiting(installed, Verdict(Decision.HOLD, by="loop", rule="loop.repeat", reason="again and again"))


def waiting(installed: Path, verdict: Verdict) -> str:
    """Id of the ticket of a call that waits for this reason."""

    async def hold(office: Office) -> str:
        exchange = Exchange(
            id="x1",
            at=office.clock.now(),
            action=Action.TOOL_CALL,
            principal=Principal("key_1", agent="coder"),
            resource=Resource(server="files", name="write_file"),
            session=SessionRef("s1", "key"),
            request=Body.parse(ARGUMENTS),
        )
        return (await office.desk.hold(exchange, verdict)).ticket

    with (installed / "wicket.yaml").open("a") as file:
        file.write("approvals: {wait_seconds: 0}\n")
    return in_office(hold)


def test_a_call_that_waits_is_listed_and_shown_whole(wicket: Wicket, ticket: str):
    (listed,) = wicket("approvals", "list", "--json").json
    assert (listed["id"], listed["state"], listed["server"], listed["name"]) == (
        ticket,
        "pending",
        "files",
        "write_file",
    )
    assert (listed["agent"], listed["rule"]) == ("coder", "writes")
    shown = wicket("approvals", "show", ticket)
    assert "/tmp/x" in shown.out
    assert f"/console/approvals/{ticket}" in shown.out
    assert "\x1b" not in shown.out
    assert "\u202e" not in shown.out
    assert "\\u202e" in shown.out
    assert wicket("approvals", "show", ticket, "--json").json["arguments"]["path"] == "/tmp/x"


@pytest.mark.parametrize(("command", "state"), [("approve", "approved"), ("deny", "denied")])
def test_a_call_is_decided_once(wicket: Wicket, ticket: str, command: str, state: str):
    ran = wicket("approvals", command, ticket, "--reason", "because")
    assert (ran.code, ran.out) == (0, f"{state} `{ticket}`\n")
    shown = wicket("approvals", "show", ticket, "--json").json
    assert (shown["state"], shown["decision_reason"]) == (state, "because")
    assert shown["decided_by"].startswith("cli")
    for again in ("approve", "deny"):
        ran = wicket("approvals", again, ticket)
        assert ran.code == 4
        assert f"is `{state}` already, so nothing was changed" in ran.err
    listed = wicket("approvals", "list", "--all", "--json").json
    assert [one["state"] for one in listed] == [state]


@pytest.mark.parametrize("command", ["show", "approve", "deny"])
def test_a_ticket_that_is_not_there_is_told(wicket: Wicket, installed: Path, command: str):
    ran = wicket("approvals", command, "tkt_none")
    assert ran.code == 4
    assert ran.err == "error: there is no ticket `tkt_none`: `wicket approvals list --all` shows all\n"


def test_nothing_waits_at_first(wicket: Wicket, installed: Path):
    assert wicket("approvals", "list").out == "nothing waits\n"


@pytest.mark.parametrize(("flags", "relief"), [(("--more", "10"), "10"), (("--exempt",), "exempt"), ((), "")])
def test_of_a_call_that_repeats_more_can_be_allowed(wicket: Wicket, repeated: str, flags: tuple[str, ...], relief: str):
    assert wicket("approvals", "approve", repeated, *flags).code == 0
    assert wicket("approvals", "show", repeated, "--json").json["relief"] == relief


@pytest.mark.parametrize("flags", [("--more", "0"), ("--more", "many"), ("--more", "1001")])
def test_how_much_more_must_be_a_number(wicket: Wicket, repeated: str, flags: tuple[str, ...]):
    ran = wicket("approvals", "approve", repeated, *flags)
    assert (ran.code, "1 to 1000" in ran.err) == (2, True)
    assert wicket("approvals", "show", repeated, "--json").json["state"] == "pending"


def test_more_and_everything_are_two_things(wicket: Wicket, repeated: str):
    assert wicket("approvals", "approve", repeated, "--more", "3", "--exempt").code == 2
    assert wicket("approvals", "show", repeated, "--json").json["state"] == "pending"


def test_of_any_other_call_no_more_can_be_allowed(wicket: Wicket, ticket: str):
    ran = wicket("approvals", "approve", ticket, "--exempt")
    assert ran.code == 2
    assert "was not held because something repeats" in ran.err
    assert wicket("approvals", "show", ticket, "--json").json["state"] == "pending"


def test_where_several_must_approve_the_command_counts_as_one_person(wicket: Wicket, installed: Path):
    async def hold(office: Office) -> str:
        exchange = Exchange(
            id="x1",
            at=office.clock.now(),
            action=Action.TOOL_CALL,
            principal=Principal("key_1"),
            resource=Resource(server="files", name="pay"),
            session=SessionRef("s1", "key"),
            request=Body.parse(ARGUMENTS),
        )
        two = (Charter(("role:admin",), 2),)
        verdict = Verdict(Decision.HOLD, by="policy", rule="pay", charters=two)
        return (await office.desk.hold(exchange, verdict, attendance=Unattended(0))).ticket

    ticket = in_office(hold)
    ran = wicket("approvals", "approve", ticket)
    assert (ran.code, ran.out) == (0, f"approved `{ticket}`: 1 of 2 approvals\n")
    ran = wicket("approvals", "approve", ticket)
    assert (ran.code, ran.err) == (4, "error: nothing was changed: you approved this call already\n")
    shown = wicket("approvals", "show", ticket, "--json").json
    assert (shown["state"], shown["approvals"], shown["approvers"]) == ("pending", "1 of 2", "2 of role:admin")
    assert shown["decisions"].startswith("cli")
    assert shown["decisions"].endswith(" approved")
    assert wicket("approvals", "deny", ticket).out == f"denied `{ticket}`\n"


def test_a_call_is_approved_with_other_arguments_from_a_file(wicket: Wicket, ticket: str, tmp_path: Path):
    file = tmp_path / "arguments.json"
    for text, said in (("[]", "the arguments must be a JSON object"), ("{", "the arguments are not well-formed")):
        file.write_text(text)
        ran = wicket("approvals", "approve", ticket, "--arguments-file", str(file))
        assert (ran.code, said in ran.err) == (2, True)
    assert wicket("approvals", "approve", ticket, "--arguments-file", str(tmp_path / "none")).code == 2
    file.write_text('{"path": "/tmp/y", "note": "a\\u202eb\\u001b[2J"}')
    ran = wicket("approvals", "approve", ticket, "--digest", "0" * 64, "--arguments-file", str(file))
    assert (ran.code, "look at it again" in ran.err) == (4, True)
    assert wicket("approvals", "approve", ticket, "--arguments-file", str(file)).out == f"approved `{ticket}`\n"
    shown = wicket("approvals", "show", ticket, "--json").json
    assert shown["changed"] == 'a person changed the arguments of this call: /path was "/tmp/x", and is "/tmp/y"'
