"""Reading and verifying the log on the command line."""

import json
import sqlite3
from pathlib import Path

from tests.wicket.conftest import Wicket


def test_a_whole_log_verifies_in_the_database_and_exported(wicket: Wicket, installed: Path):
    wicket("keys", "create")
    ran = wicket("audit", "verify", "--json")
    assert ran.code == 0
    assert (ran.json["checked"], ran.json["sealed"], ran.json["fault"]) == (2, True, None)
    (installed / "log.jsonl").write_text(wicket("audit", "export").out)
    head = str(ran.json["head"])
    assert wicket("audit", "verify", "--file", "log.jsonl", "--head", head).code == 0
    (installed / "log.jsonl").write_text((installed / "log.jsonl").read_text().splitlines()[0])
    cut = wicket("audit", "verify", "--file", "log.jsonl", "--head", head)
    assert cut.code == 1
    assert "the tail was cut off" in cut.out


def test_a_changed_event_is_named(wicket: Wicket, installed: Path):
    wicket("keys", "create")
    with sqlite3.connect(installed / ".wicket" / "wicket.db") as database:
        database.execute("UPDATE audit_events SET body = replace(body, 'agent', 'admin') WHERE seq = 1")
    database.close()
    ran = wicket("audit", "verify", "--json")
    assert (ran.code, ran.json["fault"], ran.json["seq"]) == (1, "changed", 1)


def test_an_empty_file_proves_nothing(wicket: Wicket, installed: Path):
    (installed / "empty").write_text("")
    assert wicket("audit", "verify", "--file", "empty").code == 2
    assert wicket("audit", "verify", "--file", "none").code == 4


def test_events_are_found_by_kind_key_and_time(wicket: Wicket, installed: Path):
    key_id = wicket("keys", "create", "--json").json["id"]
    wicket("keys", "revoke", key_id)
    found = wicket("audit", "show", "--type", "key.revoked", "--json").json
    assert [event["key_id"] for event in found] == [key_id]
    assert len(wicket("audit", "show", "--key", key_id, "--json").json) == 2
    assert wicket("audit", "show", "--until", "2000-01-01", "--json").json == []
    assert wicket("audit", "show", "--since", "2100-01-01T00:00Z").out == "no such events\n"
    assert "key.revoked" in wicket("audit", "show").out


def test_an_export_is_one_object_a_line(wicket: Wicket, installed: Path):
    lines = wicket("audit", "export").out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [0]
