"""The life of a key on the command line."""

from pathlib import Path

import pytest

from tests.wicket.conftest import Wicket


def test_a_key_is_made_listed_replaced_and_revoked(wicket: Wicket, installed: Path):
    made = wicket(
        "keys", "create", "--name", "laptop", "--agent", "coder", "--model", "gpt-*", "--server", "files", "--json"
    ).json
    assert made["token"].startswith("wk_")
    assert (made["models"], made["servers"], made["agent"]) == (["gpt-*"], ["files"], "coder")

    rotated = wicket("keys", "rotate", made["id"], "--json").json
    assert rotated["token"] != made["token"]
    assert {**rotated, "id": "", "token": "", "created_at": ""} == {**made, "id": "", "token": "", "created_at": ""}

    assert wicket("keys", "revoke", rotated["id"]).out == f"revoked `{rotated['id']}`\n"
    states = {key["id"]: key["state"] for key in wicket("keys", "list", "--json").json}
    assert (states[made["id"]], states[rotated["id"]]) == ("revoked", "revoked")

    listed = wicket("keys", "list").out
    assert made["token"] not in listed
    types = [event["event_type"] for event in wicket("audit", "show", "--json").json]
    assert types[:3] == ["key.revoked", "key.created", "key.created"]


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_a_key_that_is_not_there_is_told(wicket: Wicket, installed: Path, command: str):
    ran = wicket("keys", command, "key_nobody")
    assert ran.code == 4
    assert ran.err == "error: there is no valid key `key_nobody`: `wicket keys list` shows all\n"


def test_a_key_cannot_be_revoked_or_replaced_twice(wicket: Wicket, installed: Path):
    key_id = wicket("keys", "create", "--json").json["id"]
    assert wicket("keys", "revoke", key_id).code == 0
    assert wicket("keys", "revoke", key_id).code == 4
    assert wicket("keys", "rotate", key_id).code == 4


def test_a_token_is_shown_with_a_warning(wicket: Wicket, installed: Path):
    ran = wicket("keys", "create", "--role", "approver", "--expires", "90d")
    assert "(approver)" in ran.out
    assert "It is not shown again." in ran.out


def test_hostile_names_cannot_command_the_terminal(wicket: Wicket, installed: Path):
    wicket("keys", "create", "--name", "a\x1b[2Jb\nc\u202e")
    listed = wicket("keys", "list").out
    assert "\x1b" not in listed
    assert "\u202e" not in listed
    assert "\\u001b[2Jb\\nc\\u202e" in listed
