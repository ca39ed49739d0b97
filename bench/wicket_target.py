"""Wicket as it is measured: everything on, nothing tuned for the benchmark."""

import json
import subprocess
import sys
from pathlib import Path

from bench.peers import LLM_PATH, STDIO_SERVER, Peer, Place

RULES = 50
WICKET = str(Path(sys.executable).with_name("wicket"))
"""The command as it is installed beside this interpreter: compiled (`make compiled`), not the files of the checkout."""


def policy() -> str:
    """Fifty rules as a team might have them; some look at arguments, some have a condition, none refuses the load."""
    rules: list[dict[str, object]] = []
    for number in range(RULES):
        rule: dict[str, object] = {"id": f"rule-{number}", "decide": "deny", "reason": "not in this benchmark"}
        match number % 5:
            case 0:
                rule["match"] = {"action": "tool.call", "tool": f"delete_{number}*"}
            case 1:
                rule["match"] = {"action": "tool.call", "tool": "echo", "args": {"/count": {"gt": 1000 + number}}}
            case 2:
                rule["match"] = {"action": "llm.generate", "model": f"secret-model-{number}*"}
            case 3:
                rule["match"] = {"team": f"team-{number}"}
            case _:
                rule["match"] = {"tenant": "default", "agent": f"agent-{number}"}
                rule["when"] = "now.getHours() < 24 && session.calls > 1000000000"
        rules.append(rule)
    return json.dumps({"version": 1, "default": "allow", "rules": rules}, indent=1)


def set_up(place: Place, servers: dict[str, object]) -> Path:
    """A fresh installation in the folder of the run; the agent's key lies in `key`."""
    config = place.folder / "wicket.yaml"
    provider = {"wire": "openai-chat", "base_url": f"http://127.0.0.1:{place.upstream}/v1", "api_key": "${BENCH_KEY}"}
    # The load makes the same sixty-four calls for minutes: only the ends of the loop's ladder are moved out of its way.
    rungs = {f"{rule}_{rung}": 0 for rule in ("repeat", "cycle") for rung in ("observe", "warn", "hold", "kill")}
    loop = {**rungs, "repeat_deny": 10**9, "cycle_deny": 10**9, "rate_per_minute": 10**9}
    settings = {
        "gateway": {"port": 0 if servers else place.port},
        "mcp": {"port": place.port if servers else 0},
        "policies": ["policy.yaml"],
        "providers": {"mock": provider},
        "mcpServers": servers,
        "loop": loop,
    }
    config.write_text(json.dumps(settings, indent=1))
    (place.folder / "policy.yaml").write_text(policy())
    made = json.loads(_wicket(config, "init", "--json"))
    (place.folder / "key").write_text(made["token"])
    return config


def _wicket(config: Path, *words: str) -> str:
    done = subprocess.run(
        [WICKET, *words, "--config", str(config)],
        capture_output=True, text=True, cwd=config.parent, check=False, env=environ(),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"`wicket {' '.join(words)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def environ() -> dict[str, str]:
    """What it is started with."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "BENCH_KEY": "sk-bench-0123456789abcdefghij"}


def _gateway(place: Place) -> list[str]:
    return [WICKET, "gateway", "--config", str(set_up(place, {}))]


def _mcp_http(place: Place) -> list[str]:
    config = set_up(place, {"bench": {"type": "http", "url": f"http://127.0.0.1:{place.upstream}/mcp"}})
    return [WICKET, "mcp", "--config", str(config)]


def _mcp_stdio(place: Place) -> list[str]:
    command, *args = STDIO_SERVER
    config = set_up(place, {"bench": {"command": command, "args": args, "tools": ["echo"]}})
    return [WICKET, "mcp", "--config", str(config)]


def _key(place: Place) -> dict[str, str]:
    return {"Authorization": f"Bearer {(place.folder / 'key').read_text()}"}


LLM = Peer("Wicket", _gateway, LLM_PATH, headers=_key, environ=environ())
MCP_HTTP = Peer("Wicket", _mcp_http, "/mcp/bench", headers=_key, environ=environ())
MCP_STDIO = Peer("Wicket", _mcp_stdio, "/mcp/bench", headers=_key, environ=environ())
