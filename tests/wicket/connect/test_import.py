"""`wicket import` as a person runs it: the shapes that servers are handed around in, and what must not be taken."""

import json
from pathlib import Path

import pytest

from governance.config.load import load
from tests.wicket.connect.conftest import CONFIG, Place

MCP_SERVERS = """{
  // as agents have them
  "mcpServers": {
    "files": {"command": "npx", "args": ["-y", "x"], "env": {"API_KEY": "hush-env-1", "MODE": "ro"}},
    "remote": {"url": "https://example.org/mcp", "headers": {"Authorization": "Bearer hush-header-22"}},
  },
}"""
SERVERS = '{"servers": {"old": {"type": "sse", "url": "https://example.org/sse"}}}'
REGISTERED = {
    "name": "io.github.someone/weather",
    "version": "1.2.0",
    "packages": [
        {
            "registryType": "npm",
            "identifier": "@someone/weather",
            "version": "1.2.0",
            "transport": {"type": "stdio"},
            "environmentVariables": [{"name": "WEATHER_KEY", "isRequired": True, "isSecret": True}],
        }
    ],
}


def written(place: Place, text: str, name: str = "servers.json") -> str:
    file = place.home / name
    file.write_text(text)
    return str(file)


def test_servers_of_an_agents_file_come_into_the_configuration(place: Place) -> None:
    ran = place.run("import", written(place, MCP_SERVERS))
    assert ran.code == 0, ran.err
    assert "files: added (runs npx -y x)" in ran.out
    assert "set `API_KEY` where Wicket runs: the configuration names it" in ran.out
    text = place.config.read_text()
    assert "hush" not in text + ran.out
    assert text.startswith("# mine\nmcp: {port: 8070}   # usual\n")
    servers = load(place.config, {"API_KEY": "set-later"}).mcp_servers
    assert (servers["files"].command, servers["files"].args) == ("npx", ("-y", "x"))
    assert servers["files"].env == {"API_KEY": "set-later", "MODE": "ro"}
    assert servers["remote"].headers == {"Authorization": "Bearer hush-header-22"}


def test_importing_twice_is_importing_once(place: Place) -> None:
    file = written(place, SERVERS)
    place.run("import", file)
    once = place.everything()
    assert "old: is there already" in place.run("import", file).out
    assert place.everything() == once
    assert load(place.config).mcp_servers["old"].type == "sse"


def test_a_server_of_the_registry_runs_by_its_package(place: Place) -> None:
    ran = place.run("import", written(place, json.dumps(REGISTERED), "server.json"), "--json")
    assert ran.json["servers"] == [{"name": "weather", "added": True}]
    assert ran.json["needs"] == ["WEATHER_KEY"]
    server = load(place.config, {"WEATHER_KEY": "k"}).mcp_servers["weather"]
    assert (server.command, server.args) == ("npx", ("-y", "@someone/weather@1.2.0"))
    assert server.env == {"WEATHER_KEY": "k"}


def test_a_dry_run_says_what_would_come_and_writes_nothing(place: Place) -> None:
    file = written(place, MCP_SERVERS)
    before = place.everything()
    ran = place.run("import", file, "--dry-run")
    assert "files: would be added (runs npx -y x)" in ran.out
    assert place.everything() == before


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("{", 3, "is not valid JSON, at line 1, column 2: mend it; nothing was added"),
        ('{"a": 1, "a": 2}', 3, "has the key `a` twice"),
        ("{}", 3, "holds neither `mcpServers`, nor `servers`, nor a `server.json`"),
        ('{"mcpServers": {"x": 1}}', 3, "server `x` is not an object"),
        ('{"mcpServers": {"x": {}}}', 3, "server `x`"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_changes_nothing(place: Place, text: str, code: int, said: str) -> None:
    ran = place.run("import", written(place, text))
    assert (ran.code, place.config.read_text()) == (code, CONFIG)
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_file_that_is_not_there_is_told(place: Place, tmp_path: Path) -> None:
    ran = place.run("import", str(tmp_path / "nowhere.json"))
    assert ran.code == 4
    assert "is not there" in ran.err
