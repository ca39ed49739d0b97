"""Loading `wicket.yaml`: what is accepted, and every mistake told by file, line and key."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from governance.config.load import ConfigError, Reading, inspect, load

CANARY = "sk-canary-0123456789"


def read(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Reading:
    path = tmp_path / "wicket.yaml"
    path.write_text(text)
    return inspect(path, environ or {})


def complaints(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, environ)
    return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]


def test_an_empty_file_is_the_default_configuration(tmp_path: Path):
    config = read(tmp_path, "").config
    assert (config.gateway.host, config.gateway.port, config.mcp.port) == ("127.0.0.1", 8080, 8070)
    assert config.state == str(tmp_path / ".wicket")
    assert config.database == f"sqlite:///{tmp_path}/.wicket/wicket.db"
    assert config.policies == (str(tmp_path / "policy.yaml"),)


def test_a_front_that_only_names_its_host_keeps_its_usual_port(tmp_path: Path):
    config = read(tmp_path, "gateway: {host: 0.0.0.0}\nmcp: {host: '::1', port: 1}").config
    assert (config.gateway.host, config.gateway.port) == ("0.0.0.0", 8080)
    assert (config.mcp.host, config.mcp.port) == ("::1", 1)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nothing\.yaml: no such file: `wicket init` writes one"):
        load(tmp_path / "nothing.yaml")


def test_the_process_environment_is_used_unless_another_is_handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WICKET_TEST_PORT", "9999")
    (tmp_path / "wicket.yaml").write_text("gateway: {port: '${WICKET_TEST_PORT}'}")
    assert load(tmp_path / "wicket.yaml").gateway.port == 9999


@pytest.mark.parametrize("key", ["mcpServers", "servers"])
def test_both_common_shapes_of_mcp_servers_are_read(tmp_path: Path, key: str):
    text = f'{{"{key}": {{"files": {{"command": "npx", "args": ["-y", "x"], "env": {{"A": "1"}}}}}}}}'
    server = read(tmp_path, text).config.mcp_servers["files"]
    assert (server.command, server.args, server.env) == ("npx", ("-y", "x"), {"A": "1"})


@pytest.mark.parametrize("key", ["url", "serverUrl", "httpUrl"])
def test_the_address_of_a_server_is_read_by_each_name_that_clients_use(tmp_path: Path, key: str):
    assert read(tmp_path, f"mcpServers: {{a: {{{key}: 'http://h/mcp'}}}}").config.mcp_servers["a"].url == "http://h/mcp"


def test_references_are_filled_in(tmp_path: Path):
    (tmp_path / "key").write_text(CANARY + "\n")
    text = """
providers:
  a: {wire: openai-chat, base_url: 'https://a/v1', api_key: '${A_KEY}'}
  b: {wire: openai-chat, base_url: 'https://b/v1', api_key: 'file:key'}
mcpServers:
  s: {url: 'https://s/mcp', headers: {Authorization: 'Bearer ${env:S_KEY}'}}
  t: {command: run, args: ['--dir=${DIR:-/tmp}', 'costs $${x}'], env: {URL: 'file:./dev.db'}}
"""
    config = read(tmp_path, text, {"A_KEY": "one", "S_KEY": "two"}).config
    assert config.providers["a"].api_key == "one"
    assert config.providers["b"].api_key == CANARY
    assert config.mcp_servers["s"].headers == {"Authorization": "Bearer two"}
    assert config.mcp_servers["t"].args == ("--dir=/tmp", "costs ${x}")
    assert config.mcp_servers["t"].env == {"URL": "file:./dev.db"}


def test_a_provider_whose_key_is_missing_is_a_warning_that_names_the_variable(tmp_path: Path):
    text = "providers:\n  a:\n    wire: openai-chat\n    base_url: https://a/v1\n    api_key: ${NOT_THERE}\n"
    reading = read(tmp_path, text)
    assert reading.config.providers["a"].api_key == ""
    (warning,) = reading.warnings
    assert (warning.line, warning.key) == (5, "providers.a.api_key")
    assert "needs the environment variable `NOT_THERE`, which is not set: export NOT_THERE=..." in str(warning)


def test_a_provider_without_a_key_is_a_warning_unless_it_needs_none(tmp_path: Path):
    text = "providers:\n  a: {wire: openai-chat, base_url: 'http://a'}\n"
    assert [warning.key for warning in read(tmp_path, text).warnings] == ["providers.a"]
    assert read(tmp_path, text.replace("'}", "', auth: none}")).warnings == ()


def test_relative_places_belong_to_the_file_and_not_to_the_working_directory(tmp_path: Path):
    config = read(tmp_path, "state: s\ndatabase: sqlite:///d.db\npolicies: [p.yaml, /q.yaml]").config
    assert config.state == f"{tmp_path}/s"
    assert config.database == f"sqlite:///{tmp_path}/d.db"
    assert config.policies == (f"{tmp_path}/p.yaml", "/q.yaml")


def test_a_section_whose_lines_are_all_commented_out_is_not_set(tmp_path: Path):
    assert read(tmp_path, "providers:\n#  a: 1\ngateway:\n").config.providers == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gatway: {}", "wicket.yaml:1: `gatway` is not a known setting: did you mean `gateway`?"),
        ("\n\nloop:\n  repeat: 1", "wicket.yaml:4: `loop.repeat` is not a known setting: did you mean `repeat_warn`?"),
        ("gateway: {port: 99999}", "wicket.yaml:1: `gateway.port` must be at most 65535"),
        ("gateway:\n  port: high", "wicket.yaml:2: `gateway.port` must be a whole number"),
        ("approvals:\n  timeout_seconds: 0", "wicket.yaml:2: `approvals.timeout_seconds` must be more than 0"),
        ("detect: {engine: grep}", "wicket.yaml:1: `detect.engine` must be one of `auto`, `hyperscan`, `re`"),
        (
            "detect:\n  actions:\n    pii.ssn: explode",
            "wicket.yaml:3: `detect.actions.pii.ssn` must be one of `log`, `redact`, `hold`, `deny`",
        ),
        ("gateway: 1", "wicket.yaml:1: `gateway` must be a section of `key: value` lines"),
        ("hosts: a", "wicket.yaml:1: `hosts` must be a list: write `[a, b]` or one `- item` a line"),
        (
            "mcpServers: {a: {command: x, tool_labels: {'*': [Mine]}}}",
            (
                "wicket.yaml:1: `mcpServers.a.tool_labels.*[0]` must be a label: "
                "write up to 64 small letters, digits, `_`, `.` and `-`, beginning with a letter"
            ),
        ),
        (
            f"detect: {{labels: {{'pii.*': [{', '.join('x' * 17)}]}}}}",
            "wicket.yaml:1: `detect.labels.pii.*` lists too many: name fewer",
        ),
        ("hosts:\n- a\n- b:80", None),
        ("state: 1", "wicket.yaml:1: `state` must be text: put it in quotes"),
        ("identity: {anonymous: maybe}", "wicket.yaml:1: `identity.anonymous` must be `true` or `false`"),
        ("providers:\n  a:\n    wire: openai-chat", "wicket.yaml:2: `providers.a.base_url` is missing: add it"),
        ("state: a\nloop: {}\nstate: b", "wicket.yaml:3: `state` is written twice: keep one of them"),
        ("a: [", "wicket.yaml:1: is not valid YAML at column 5: look at the indentation, colons and quotes there"),
        ("- a", "wicket.yaml:1: must be a mapping: write `key: value` lines"),
        ("1: a", "wicket.yaml:1: `1` is not a known setting: "),
        ("[a]: b", "wicket.yaml:1: holds a key that is not text: put the key in quotes"),
        ("state: !!python/name:os.system x", "wicket.yaml:1: `state` has a tag that is not allowed here: "),
        ("state: 010", "wicket.yaml:1: `state` is a number that readers take differently: "),
        ("state: .nan", "wicket.yaml:1: `state` is a number that readers take differently: "),
        ("a: &x [*x]", "wicket.yaml:1: "),
        ("state: a\n---\nstate: b", "wicket.yaml:2: is not valid YAML at column 1: "),
        ("state: \x07", "wicket.yaml:1: holds a character that YAML does not allow: remove it"),
        ("servers: {}\nmcpServers: {}", "wicket.yaml:1: `servers` is another name for `mcpServers`: keep one of them"),
        (
            "servers:\n  a b: {command: x}",
            "wicket.yaml:2: `mcpServers.a b` is not a usable name: ",
        ),
        ("servers:\n  a: {}", "wicket.yaml:2: `mcpServers.a` has neither `command` nor `url`: "),
        (
            "mcpServers:\n  a:\n    command: x\n    url: http://h",
            "wicket.yaml:4: `mcpServers.a.url` cannot stand beside `command`: keep one of them",
        ),
        (
            "mcpServers:\n  a:\n    url: http://h\n    start: eager",
            "wicket.yaml:4: `mcpServers.a.start` is for servers that Wicket starts: leave it out beside `url`",
        ),
        (
            "mcpServers:\n  a:\n    url: http://h\n    process: shared",
            "wicket.yaml:4: `mcpServers.a.process` is for servers that Wicket starts: leave it out beside `url`",
        ),
        ("mcpServers:\n  a:\n    command: x\n    type: sse", "wicket.yaml:4: `mcpServers.a.type` does not fit: "),
        ("mcpServers:\n  a:\n    serverUrl: ftp://h", "wicket.yaml:3: `mcpServers.a.url` must be an `http://` or "),
        ("mcpServers:\n  a:\n    url: http://u:p@h", "wicket.yaml:3: `mcpServers.a.url` must not hold a user name"),
        (
            "state: ${NOT_THERE}",
            "wicket.yaml:1: `state` needs the environment variable `NOT_THERE`, which is not set: export NOT_THERE=...",
        ),
        ("state: ${input:x}", "wicket.yaml:1: `state` has a `${` that is not `${NAME}`: "),
        ("database: file:none", "wicket.yaml:1: `database` needs the file `none`, which cannot be read (No such file"),
        ("database: mysql://x", "wicket.yaml:1: `database` must be `sqlite:///PATH` or `postgresql://...`: "),
        (
            f"providers:\n  a:\n    api_key: {CANARY}\n    wire: openai-chat\n    base_url: http://h",
            "wicket.yaml:3: `providers.a.api_key` must not hold the secret itself: write `${NAME}` or `file:PATH`",
        ),
        ("secrets: {master_key: aaaa}", "wicket.yaml:1: `secrets.master_key` must not hold the secret itself: "),
        ("metrics: {token: aaaa}", "wicket.yaml:1: `metrics.token` must not hold the secret itself: "),
        ("metrics: {token: '${NONE:-short}'}", "wicket.yaml:1: `metrics.token` is too short to be secret: "),
        (
            "identity: {anonymous: true}\nmcp: {port: 1, host: 0.0.0.0}",
            "wicket.yaml:2: `mcp.host` must be a loopback address while `identity.anonymous` is on: ",
        ),
        ("budgets:\n- {scope: key, usd: much}", "wicket.yaml:2: `budgets[0].usd` must be a number"),
        ("budgets:\n- {scope: key, usd: 0}", "wicket.yaml:2: `budgets[0].usd` must be more than 0"),
        (
            "budgets:\n- {scope: key}",
            "wicket.yaml:2: `budgets[0]` sets no ceiling: add `usd`, `tokens` or `calls`",
        ),
        ("gateway: {port: 1}\nmcp: {port: 1}", "wicket.yaml:2: `mcp.port` must differ from `gateway.port`: "),
        (
            "approvals: {webhooks: [{url: 'http://h/#x', secret: '${S:-s}'}]}",
            "wicket.yaml:1: `approvals.webhooks[0].url` must not hold `#`: ",
        ),
    ],
)
def test_a_mistake_is_told_by_file_line_key_and_how_to_mend_it(tmp_path: Path, text: str, told: str | None):
    told = told or "wicket.yaml:3: `hosts[1]` must be a host name without port or path: write `wicket.example.org`"
    said = complaints(tmp_path, text)
    assert len(said) == 1
    assert said[0].startswith(told)
    assert said[0] == told or told.endswith((" ", "file", "name"))


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path):
    said = complaints(tmp_path, "mcp: {port: x}\nloop: {nope: 1}\ngateway: {port: -1}\n")
    assert [line.partition(": ")[0] for line in said] == ["wicket.yaml:1", "wicket.yaml:2", "wicket.yaml:3"]


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path):
    (tmp_path / "wicket.yaml").write_bytes(b"state: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8 at byte 7: save it as UTF-8"):
        load(tmp_path / "wicket.yaml")


def test_a_directory_is_not_a_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_aliases_cannot_make_a_short_file_large(tmp_path: Path):
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert complaints(tmp_path, text)[0].endswith("makes the file too large: use fewer aliases")


def test_merge_keys_are_read(tmp_path: Path):
    text = "mcpServers:\n  a: &a {command: x, args: [one]}\n  b: {<<: *a, args: [two]}\n"
    servers = read(tmp_path, text).config.mcp_servers
    assert (servers["b"].command, servers["b"].args) == ("x", ("two",))


def test_an_empty_secret_file_is_refused(tmp_path: Path):
    (tmp_path / "url").write_text("\n")
    assert complaints(tmp_path, "database: file:url")[0].endswith("which holds no text: write the secret into it")


def test_no_secret_appears_in_a_message_or_a_representation(tmp_path: Path):
    text = """
providers: {{a: {{wire: {0}, base_url: '{0}', api_key: '${{K}}'}}}}
mcpServers: {{s: {{url: '{0}', env: {{A: [{0}]}}, headers: {{B: {{C: {0}}}}}}}}}
database: '{0}'
loop: {{repeat_warn: {0}}}
{0}x: 1
"""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text.format(CANARY), {"K": CANARY})
    assert CANARY not in str(caught.value).replace(f"{CANARY}x", "")
    good = f"providers: {{a: {{wire: openai-chat, base_url: 'http://h', api_key: '${{K}}', headers: {{x: {CANARY}}}}}}}"
    assert CANARY not in repr(read(tmp_path, good, {"K": CANARY}).config)
