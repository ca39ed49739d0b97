"""`init`, `check` and `doctor`."""

import stat
from pathlib import Path

import pytest

from governance.clock import SystemClock, rfc3339
from governance.health.report import Report
from governance.health.store import SqlHealth
from tests.wicket.conftest import Wicket, in_office


def contents(place: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in place.rglob("*") if path.suffix in (".yaml", ".key", ".token")}


def test_the_first_run_makes_everything_and_shows_one_key_once(wicket: Wicket, tmp_path: Path):
    ran = wicket("init", "--json")
    assert ran.code == 0
    assert [Path(made).name for made in ran.json["made"]] == ["wicket.yaml", "policy.yaml", "master.key", "admin.token"]
    assert stat.S_IMODE((tmp_path / ".wicket").stat().st_mode) == 0o700
    keys = wicket("keys", "list", "--json")
    assert [(key["role"], key["name"], key["state"]) for key in keys.json] == [("agent", "first agent", "valid")]
    token = ran.json["token"]
    assert token.startswith("wk_")
    assert all(token.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_what_the_first_run_writes_is_sound(wicket: Wicket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    wicket("init")
    for command in ("check", "policy check"):
        assert wicket(*command.split(), "--json").json == {"ok": True, "problems": [], "warnings": []}


@pytest.mark.parametrize(
    ("call", "decision"),
    [
        (["--tool", "read_file", "--annotations", '{"readOnlyHint": true}'], "allow"),
        (["--tool", "read_file"], "hold"),
        (["--tool", "write_file", "--annotations", '{"readOnlyHint": true}'], "hold"),
        (["--tool", "read_and_delete", "--annotations", '{"readOnlyHint": true}'], "hold"),
        (["--tool", "transfer"], "hold"),
        (["--action", "llm.generate", "--model", "gpt-x"], "allow"),
    ],
)
def test_the_first_policy_lets_reads_through_and_asks_about_the_rest(wicket: Wicket, call: list[str], decision: str):
    wicket("init")
    assert wicket("policy", "explain", *call, "--json").json["decision"] == decision


def test_a_second_run_changes_nothing(wicket: Wicket, tmp_path: Path):
    wicket("init")
    before = contents(tmp_path)
    ran = wicket("init", "--json")
    assert ran.code == 0
    assert ran.json["made"] == []
    assert "token" not in ran.json
    assert contents(tmp_path) == before
    assert len(wicket("keys", "list", "--json").json) == 1


def test_a_configuration_that_is_there_is_used_and_never_overwritten(wicket: Wicket, tmp_path: Path):
    (tmp_path / "wicket.yaml").write_text("state: secrets\npolicies: []\n")
    ran = wicket("init", "--json")
    assert [Path(made).name for made in ran.json["made"]] == ["master.key", "admin.token"]
    assert (tmp_path / "wicket.yaml").read_text() == "state: secrets\npolicies: []\n"
    assert not (tmp_path / "policy.yaml").exists()


def test_a_broken_configuration_stops_the_first_run(wicket: Wicket, tmp_path: Path):
    (tmp_path / "wicket.yaml").write_text("gatway: {}")
    assert wicket("init").code == 3
    assert not (tmp_path / ".wicket").exists()


def test_a_place_that_cannot_be_written_is_told(wicket: Wicket, tmp_path: Path):
    (tmp_path / "file").write_text("")
    ran = wicket("init", "--config", "file/wicket.yaml")
    assert ran.code == 5
    assert "cannot be written" in ran.err


def test_check_tells_mistakes_of_policies_with_file_line_and_rule(wicket: Wicket, installed: Path):
    (installed / "policy.yaml").write_text("version: 1\nrules:\n  - id: a\n    decide: explode\n")
    ran = wicket("check")
    assert ran.code == 1
    assert "policy.yaml:4" in ran.out
    assert "`a`" in ran.out


def test_check_tells_what_is_hardly_meant_with_its_line(wicket: Wicket, installed: Path):
    with (installed / "wicket.yaml").open("a") as file:
        file.write("mcpServers: {files: {command: x, tools: [read]}}\n")
    (installed / "policy.yaml").write_text(
        "version: 1\nrules:\n  - id: typo\n    match: {server: files, tool: raed}\n    decide: deny\n"
        "  - id: kind\n    match: {findings: [pii.sssn]}\n    decide: deny\n"
    )
    ran = wicket("check", "--json")
    assert (ran.code, ran.json["ok"]) == (0, True)
    assert [(one["line"], one["key"]) for one in ran.json["warnings"]] == [(4, "match.tool"), (7, "match.findings")]


def test_doctor_is_content_with_a_fresh_installation(wicket: Wicket, installed: Path):
    ran = wicket("doctor", "--json")
    assert ran.code == 0
    assert {one["health"] for one in ran.json} <= {"ok", "note"}
    assert {"installation", "policy", "secrets", "database", "gateway", "mcp"} <= {one["subject"] for one in ran.json}


def test_doctor_says_what_is_not_well(wicket: Wicket, installed: Path):
    (installed / "policy.yaml").write_text("version: 2")
    (installed / ".wicket" / "admin.token").chmod(0o644)
    with (installed / "wicket.yaml").open("a") as file:
        file.write("mcpServers: {files: {command: no-such-program}, far: {url: 'http://h/canary/mcp?key=canary'}}\n")
        file.write("providers: {open: {wire: openai-chat, base_url: 'http://h/canary', auth: none}}\n")
    ran = wicket("doctor", "--json")
    assert ran.code == 1
    bad = {one["subject"]: one["text"] for one in ran.json if one["health"] == "BAD"}
    assert set(bad) == {"policy", "secrets", "database", "server files"}
    assert "chmod 600" in bad["secrets"]
    assert "no-such-program" in bad["server files"]
    assert next(one["text"] for one in ran.json if one["subject"] == "server far") == "at http://h"
    assert "canary" not in ran.out
    assert "canary" not in wicket("servers", "list").out


def test_doctor_says_how_the_servers_of_a_running_proxy_are(wicket: Wicket, installed: Path):
    with (installed / "wicket.yaml").open("a") as file:
        file.write("mcpServers: {files: {command: python3}, web: {url: 'http://127.0.0.1:9/'}}\n")
    told = {one["subject"]: one for one in wicket("doctor", "--json").json}
    assert told["servers"]["text"] == "no MCP proxy runs now, so how they are is not known"
    clock = SystemClock()
    now = rfc3339(clock.now())
    failing = Report("files", state="failing", since=now, restarts=2, last_error="it exited with 7", last_error_at=now)

    in_office(lambda office: SqlHealth(office.store, clock).say("one", [failing, Report("web")]))
    ran = wicket("doctor", "--json")
    (files,) = [one for one in ran.json if one["health"] == "BAD"]
    assert (ran.code, files["subject"]) == (1, "server files")
    assert files["text"] == f"failing since {now}: it exited with 7, restarted 2 times"
    assert (files["server"]["state"], files["server"]["restarts"]) == ("failing", 2)
    assert "not needed yet" in wicket("doctor").out


def test_doctor_says_that_nothing_is_set_up(wicket: Wicket, tmp_path: Path):
    assert wicket("doctor").code == 1
    (tmp_path / "wicket.yaml").write_text("policies: []")
    ran = wicket("doctor")
    assert ran.code == 1
    assert "run `wicket init`" in ran.out
