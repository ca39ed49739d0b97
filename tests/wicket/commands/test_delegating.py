"""Letting somebody decide in one's place, on the command line."""

from datetime import timedelta
from pathlib import Path

import pytest

from governance.clock import SystemClock
from tests.wicket.conftest import Wicket


def test_it_is_given_listed_and_ended_once(wicket: Wicket, installed: Path):
    assert wicket("approvals", "delegations").out == "nobody decides for anybody else\n"
    assert wicket("keys", "create", "--role", "approver", "--user", "bob").code == 0
    until = (SystemClock().now() + timedelta(days=1)).isoformat()
    made = wicket("approvals", "delegate", "--to", "bob", "--until", until, "--reason", "away", "--json")
    assert made.code == 0, made.err
    (listed,) = wicket("approvals", "delegations", "--json").json
    assert listed == made.json
    assert (listed["to"], listed["active"]) == ("bob", True)
    assert wicket("approvals", "undelegate", listed["id"]).out == f"ended `{listed['id']}`\n"
    assert wicket("approvals", "undelegate", listed["id"]).code == 4
    assert wicket("approvals", "undelegate", "dlg_none").code == 4
    assert wicket("approvals", "delegations", "--json").json == []
    (ended,) = wicket("approvals", "delegations", "--all", "--json").json
    assert ended["ended_by"].startswith("cli")


@pytest.mark.parametrize(
    ("until", "said"), [("tomorrow", "a time with its zone"), ("2020-01-01T00:00:00Z", "must end between now and")]
)
def test_what_cannot_be_delegated_is_told(wicket: Wicket, installed: Path, until: str, said: str):
    ran = wicket("approvals", "delegate", "--to", "bob", "--until", until, "--reason", "away")
    assert (ran.code, said in ran.err) == (2, True), ran.err
