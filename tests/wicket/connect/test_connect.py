"""`wicket connect` and `wicket disconnect` as a person runs them, on the files of all agents."""

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from governance.config.load import load
from governance.jsontree import as_object
from tests.wicket.connect.conftest import CONFIG, Place
from tests.wicket.connect.samples import CLAUDE_CODE, CODEX, CURSOR, GEMINI, SAMPLES, SECRETS, WINDSURF, Sample
from wicket.connect.agents import AGENTS
from wicket.connect.jsonc import JSONC
from wicket.connect.shown import plain

each_agent = pytest.mark.parametrize("sample", SAMPLES, ids=[sample.agent for sample in SAMPLES])


def read(file: Path) -> Any:
    text = file.read_bytes().decode()
    return tomllib.loads(text) if file.suffix == ".toml" else JSONC.read(text)


def test_there_is_a_sample_of_every_agent():
    assert [one.agent for one in SAMPLES] == [agent.name for agent in AGENTS]


@each_agent
def test_the_original_comes_back_byte_for_byte(place: Place, sample: Sample):
    file = sample.write(place.home)
    file.chmod(0o644)
    before = place.everything()
    connected = place.run("connect", sample.agent, "--json")
    how = {".".join(one["entry"]): one["how"] for one in connected.json["files"][0]["servers"]}
    assert how == sample.servers, connected.err
    assert connected.code == (1 if "left" in how.values() else 0)
    assert file.read_bytes() != sample.text.encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it holds a key now"
    load(place.config)
    ran = place.run("disconnect", sample.agent)
    assert ran.code == 0, ran.err
    assert file.read_bytes() == sample.text.encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert place.everything() == before


@each_agent
def test_only_what_must_change_does(place: Place, sample: Sample):
    file = sample.write(place.home)
    place.run("connect", sample.agent)
    old, new = sample.text.encode().split(b"\n"), file.read_bytes().split(b"\n")
    kept = [line for line in old if line in new]
    assert len(kept) >= len(old) - 3 * len(sample.servers) - 1
    assert file.read_bytes().count(b"\r\n") == 0 or b"\n" not in file.read_bytes().replace(b"\r\n", b"")
    comments = {line.partition(b"// ")[2].strip() for line in old} - {b""}
    assert {comment for comment in comments if comment not in file.read_bytes()} == set()


@each_agent
def test_connecting_twice_is_connecting_once(place: Place, sample: Sample):
    sample.write(place.home)
    place.run("connect", sample.agent)
    once = place.everything()
    again = place.run("connect", sample.agent, "--json")
    assert again.json["files"][0]["changed"] is False
    assert {one["how"] for one in again.json["files"][0]["servers"]} <= {"already", "left"}
    assert place.everything() == once
    assert place.run("disconnect", sample.agent).code == 0
    twice = place.run("disconnect", sample.agent)
    assert (twice.code, twice.out.endswith("is not connected; nothing was changed\n")) == (0, True)


@each_agent
def test_a_dry_run_shows_everything_and_writes_nothing(place: Place, sample: Sample):
    sample.write(place.home)
    before = place.everything()
    ran = place.run("connect", sample.agent, "--dry-run")
    assert place.everything() == before
    assert "+++ " in ran.out
    assert "wk_" not in ran.out
    assert "nothing was written: that was a dry run" in ran.out
    assert len(place.run("keys", "list", "--json").json) == 1
    place.run("connect", sample.agent)
    connected = place.everything()
    assert "would be given back" in place.run("disconnect", sample.agent, "--dry-run").out
    assert place.everything() == connected


@each_agent
def test_no_secret_shows_and_none_is_in_the_configuration(place: Place, sample: Sample):
    file = sample.write(place.home)
    outputs = [
        place.run("connect", sample.agent, "--dry-run"),
        place.run("connect", sample.agent, "--json", "--dry-run"),
        place.run("connect", sample.agent),
        place.run("connect", sample.agent, "--json"),
        place.run("disconnect", sample.agent, "--dry-run"),
        place.run("check"),
    ]
    configuration = place.config.read_text()
    assert [secret for secret in SECRETS for ran in outputs if secret in ran.out + ran.err + configuration] == []
    token = next(word for word in file.read_text().replace('"', " ").split() if word.startswith("wk_"))
    assert not any(token in ran.out + ran.err for ran in outputs)
    assert [oct(path.stat().st_mode) for path in (place.installation / ".wicket/connect").rglob("*")
            if path.is_file() and stat.S_IMODE(path.stat().st_mode) != 0o600] == []  # fmt: skip


@each_agent
def test_edits_made_in_between_survive(place: Place, sample: Sample):
    file = sample.write(place.home)
    place.run("connect", sample.agent)
    is_toml = file.suffix == ".toml"
    connected = file.read_bytes().decode()
    edited = connected + "[added]\r\nby = 'me'\r\n" if is_toml else connected.replace("{", '{ "added": "by me",', 1)
    file.write_bytes(edited.encode())
    ran = place.run("disconnect", sample.agent)
    assert ran.code == 0, ran.err
    assert "it was edited since: only Wicket's own changes were undone" in ran.out
    expected: dict[str, Any] = tomllib.loads(sample.text) if is_toml else as_object(JSONC.read(sample.text))
    assert read(file) == expected | {"added": {"by": "me"} if is_toml else "by me"}
    if not is_toml:
        assert file.read_bytes().decode() == sample.text.replace("{", '{ "added": "by me",', 1)
    assert place.config.read_text() == CONFIG


def test_an_original_with_a_comment_that_cannot_be_put_back_is_kept(place: Place):
    table = '[mcp_servers.b.http_headers]\n# why\nX-Key = "hush-header-22"\n\n[more]\n'
    file = place.home / ".codex/config.toml"
    file.parent.mkdir()
    file.write_text(f'[mcp_servers.b]\nurl = "https://e.org/mcp"\n{table}')
    place.run("connect", "codex")
    file.write_text(file.read_text() + "k = 1\n")
    ran = place.run("disconnect", "codex")
    assert ran.code == 0
    assert "a comment inside what Wicket had changed is gone" in ran.out
    kept = next((place.installation / ".wicket/connect").glob("*.original"))
    assert f"the original is kept in `{kept}`" in ran.out
    assert table in kept.read_text()


def test_what_somebody_changed_inside_an_entry_stays_and_is_named(place: Place):
    file = CURSOR.write(place.home)
    place.run("connect", "cursor")
    text = file.read_text().replace("/mcp/remote", "/mcp/other").replace('"WICKET_KEY"', '"MORE": "m", "WICKET_KEY"', 1)
    file.write_text(text)
    ran = place.run("disconnect", "cursor")
    assert ran.code == 1
    assert "`mcpServers.remote.url` was changed since, and stays as it is" in ran.out
    entry = read(file)["mcpServers"]
    assert entry["remote"]["url"].endswith("/mcp/other")
    assert entry["files"] == {"command": "npx", "args": ["-y", "x"], "env": {"MORE": "m"}}
    kept = next((place.installation / ".wicket/connect").glob("*.original"))
    assert kept.read_text() == CURSOR.text


def test_a_server_that_was_added_later_is_put_behind_with_the_same_key(place: Place):
    file = CURSOR.write(place.home)
    place.run("connect", "cursor")
    file.write_text(file.read_text().replace('"files":', '"later": {"command": "later"}, "files":'))
    ran = place.run("connect", "cursor", "--json")
    how = {one["name"]: one["how"] for one in ran.json["files"][0]["servers"]}
    assert how["later"] == "wrapped"
    entries = read(file)["mcpServers"]
    assert entries["later"]["env"] == entries["files"]["env"]
    assert len(place.run("keys", "list", "--json").json) == 2
    place.run("disconnect", "cursor")
    assert file.read_text() == CURSOR.text.replace('"files":', '"later": {"command": "later"}, "files":')
    assert [key["state"] for key in place.run("keys", "list", "--json").json].count("revoked") == 1


def test_entries_look_as_the_agent_wants_them(place: Place):
    for sample in (CODEX, GEMINI, CLAUDE_CODE):
        sample.write(place.home)
        place.run("connect", sample.agent)
    codex = read(place.home / CODEX.place)["mcp_servers"]
    assert codex["files"]["args"][-4:] == ["npx", "-y", "x", "/srv/share"]
    assert set(codex["files"]["env"]) == {"API_KEY", "WICKET_KEY"}
    assert set(codex["remote"]) == {"url", "http_headers", "tool_timeout_sec"}
    assert codex["remote"]["http_headers"]["Authorization"].startswith("Bearer wk_")
    gemini = read(place.home / GEMINI.place)["mcpServers"]
    assert set(gemini["old"]) == {"httpUrl", "headers"}
    assert read(place.home / CLAUDE_CODE.place)["mcpServers"]["tracker"]["type"] == "http"
    servers = load(place.config).mcp_servers
    assert servers["tracker"].type == "sse"
    assert servers["tracker"].headers["Authorization"] == "Bearer hush-header-22"
    assert servers["remote"].headers == {
        "X-Key": "hush-header-22",
        "X-Shell": servers["remote"].headers["X-Shell"],
        "Authorization": servers["remote"].headers["Authorization"],
    }


def test_two_agents_with_different_servers_of_one_name_do_not_meet(place: Place):
    WINDSURF.write(place.home)
    CODEX.write(place.home)
    CURSOR.write(place.home)
    for agent in ("windsurf", "codex", "cursor"):
        place.run("connect", agent)
    servers = load(place.config).mcp_servers
    assert {"remote", "remote-codex", "remote-cursor"} <= set(servers)
    assert servers["remote-cursor"].url.endswith("key=hush-query-333")
    for agent in ("codex", "windsurf", "cursor"):
        assert place.run("disconnect", agent).code == 0
    assert place.config.read_text() == CONFIG


def test_in_a_project_the_file_names_the_key_and_does_not_hold_it(place: Place):
    project = place.home / "project"
    (project / ".codex").mkdir(parents=True)
    (project / ".mcp.json").write_text('{"mcpServers": {"a": {"command": "x"}, "b": {"url": "https://e.org/mcp"}}}')
    (project / ".codex/config.toml").write_text(
        '[mcp_servers.a]\ncommand = "x"\n[mcp_servers.b]\nurl = "https://e.org/mcp"\n'
    )
    where = ["--scope", "project", "--project", str(project)]
    ran = place.run("connect", "claude-code", *where)
    assert "the file names the environment variable `WICKET_KEY`, not a key" in ran.out
    entries = json.loads((project / ".mcp.json").read_text())["mcpServers"]
    assert entries["a"]["env"] == {"WICKET_KEY": "${WICKET_KEY}"}
    assert entries["b"]["headers"] == {"Authorization": "Bearer ${WICKET_KEY}"}
    assert place.run("connect", "codex", *where).code == 0
    codex = read(project / ".codex/config.toml")["mcp_servers"]
    assert codex["a"]["env_vars"] == ["WICKET_KEY"]
    assert codex["b"]["bearer_token_env_var"] == "WICKET_KEY"
    assert len(place.run("keys", "list", "--json").json) == 1
    for agent in ("codex", "claude-code"):
        assert place.run("disconnect", agent, *where).code == 0
    assert read(project / ".codex/config.toml") == {
        "mcp_servers": {"a": {"command": "x"}, "b": {"url": "https://e.org/mcp"}}
    }


def test_what_an_agent_sends_as_it_stands_is_no_reference_behind_wicket(place: Place):
    project = place.home / "project"
    (project / ".codex").mkdir(parents=True)
    (project / ".codex/config.toml").write_text('[mcp_servers.a]\nurl = "https://e.org/${MINE}/mcp"\n')
    (project / "opencode.json").write_text('{"mcp": {"b": {"type": "remote", "url": "https://e.org/${MINE}"}}}')
    (project / ".mcp.json").write_text(
        '{"mcpServers": {"c": {"url": "https://e.org/c", "headers": {"X-C": "file:/etc/${MINE:-x}"}}}}'
    )
    secret = {"MINE": "hush-mine-1"}
    where = ["--scope", "project", "--project", str(project)]
    for agent, code in (("codex", 0), ("opencode", 0), ("claude-code", 1)):
        assert place.run("connect", agent, *where, environ=secret).code == code
    servers = load(place.config, secret).mcp_servers
    assert servers["a"].url == "https://e.org/${MINE}/mcp"
    assert servers["b"].url == "https://e.org/${MINE}"
    assert "c" not in servers, "its header would have been the content of a file"


def test_a_password_is_hidden_whole_whatever_is_in_it():
    assert plain("postgres://ann:p@ss:w0@rd@db/x y@z") == "postgres://•••@db/x y@z"


def test_the_agents_own_variables_are_followed(place: Place):
    moved = {"CODEX_HOME": str(place.home / "elsewhere")}
    Sample("codex", "elsewhere/config.toml", CODEX.text, {}).write(place.home)
    assert place.run("connect", "codex").code == 4
    assert place.run("connect", "codex", environ=moved).code == 0


def test_a_key_that_is_given_is_used(place: Place):
    file = CURSOR.write(place.home)
    token = place.run("keys", "create", "--json").json["token"]
    place.run("connect", "cursor", environ={"WICKET_KEY": token})
    assert read(file)["mcpServers"]["files"]["env"]["WICKET_KEY"] == token
    place.run("disconnect", "cursor")
    assert "revoked" not in {key["state"] for key in place.run("keys", "list", "--json").json}
