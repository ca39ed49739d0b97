"""`wicket up`: set up what is missing, run both proxies, and say how to use them.

Keeping the processes running is `supervisor.py`; what they serve is `serve.py`. Setting up is done by `wicket init` in
a process of its own, because loading the database takes longer than everything here.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio

from governance.clock import Clock
from governance.config.load import load
from governance.config.secrets import MASTER_FILE, open_secrets
from governance.jsontree import Json, JsonObject
from wicket.addresses import Ports, address, console_address
from wicket.exits import CommandError, Exit
from wicket.installation import check_installation
from wicket.supervisor import Front, Supervisor, bind, command_of
from wicket.terminal import Terminal

PLACEHOLDER = "YOUR_KEY"
HEALTH = {"gateway": "/healthz", "mcp": "/health"}
LINK_SECONDS = 5.0
"""How long the gateway may take to hand up the link to the console once it answers."""


@dataclass(frozen=True)
class Doors:
    """How to reach what runs."""

    gateway: str
    mcp: str
    console: str
    servers: tuple[str, ...]
    token: str
    """Token of the first agent's key, on the first run only."""


async def run_up(config_file: Path, ports: Ports, terminal: Terminal, clock: Clock) -> Exit:
    """Run both proxies until a signal comes.

    Args:
        config_file: the configuration; made where it is missing.
        ports: used instead of the configured ones where given.
        terminal: where it is said how to use what runs.
        clock: measures how long processes ran.

    Raises:
        ConfigError, SecretsError, InstallationError, CommandError: nothing was started.
    """
    check_installation()
    token = "" if await _is_set_up(config_file) else await _set_up(config_file, terminal)
    config = ports.applied(load(config_file))
    open_secrets(config)
    links: dict[str, str] = {}
    linked = anyio.Event()

    def heard(name: str, line: str) -> None:
        if name == "gateway" and not linked.is_set():
            links["console"] = line
            linked.set()

    with ExitStack() as held:
        listeners = {
            name: held.enter_context(bind(listen.host, listen.port, f"{name}.port"))
            for name, listen in (("gateway", config.gateway), ("mcp", config.mcp))
        }
        chosen = Ports(**{name: int(listener.getsockname()[1]) for name, listener in listeners.items()})
        config = chosen.applied(config)
        fronts = [
            Front(
                name,
                listener,
                [*command_of(name, str(config_file)), *chosen.arguments()],
                f"{config.hosts[0]}:{listener.getsockname()[1]}",
                HEALTH[name],
            )
            for name, listener in listeners.items()
        ]

        async def ready() -> None:
            with anyio.move_on_after(LINK_SECONDS):
                await linked.wait()
            link = links.get("console", f"{console_address(config)}/console")
            doors = Doors(
                address(config, config.gateway), address(config, config.mcp), link, tuple(config.mcp_servers), token
            )
            terminal.show(_facts(doors), _welcome(doors))

        return await Supervisor(fronts, clock, terminal.say, ready, heard).run()


async def _is_set_up(config_file: Path) -> bool:
    """Whether `wicket init` would find nothing to do."""
    if not await anyio.Path(config_file).exists():
        return False
    config = load(config_file)
    external = bool(config.secrets.master_key and config.secrets.admin_token)
    return external or await (anyio.Path(config.state) / MASTER_FILE).exists()


async def _set_up(config_file: Path, terminal: Terminal) -> str:
    """Run `wicket init`; returns the token of the first key, if one was made."""
    with terminal.progress("setting up"):
        done = await anyio.run_process([*command_of("init", str(config_file)), "--json"], check=False, stderr=None)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        raise CommandError(Exit.INTERNAL, "setting up failed: run `wicket init` and see what it says") from None
    if done.returncode:
        raise CommandError(Exit(done.returncode), "; ".join(said["errors"]))
    for path in said["made"]:
        terminal.say(f"made {path}")
    return str(said.get("token", ""))


def _facts(doors: Doors) -> JsonObject:
    facts: JsonObject = {"gateway": doors.gateway, "mcp": doors.mcp, "console": doors.console}
    return facts | ({"token": doors.token} if doors.token else {})


def _welcome(doors: Doors) -> Iterator[str]:
    """What a person reads when everything answers."""
    key = doors.token or PLACEHOLDER
    yield ""
    yield f"  LLM proxy   {doors.gateway}/v1"
    yield f"  MCP proxy   {doors.mcp}/mcp/NAME"
    yield f"  console     {doors.console}"
    yield ""
    if doors.token:
        yield f"  key of your first agent, shown only now: {key}"
    else:
        yield f"  put a key from `wicket keys create` in place of {PLACEHOLDER}"
    yield ""
    yield "  model calls (any OpenAI or Anthropic SDK, Claude Code):"
    yield f"    export OPENAI_BASE_URL={doors.gateway}/v1 OPENAI_API_KEY={key}"
    yield f"    export ANTHROPIC_BASE_URL={doors.gateway} ANTHROPIC_AUTH_TOKEN={key}"
    yield ""
    yield from _registration(doors, key)
    yield "  stop with Ctrl-C"


def _registration(doors: Doors, key: str) -> Iterator[str]:
    servers = doors.servers
    if not servers:
        yield "  tool calls: add servers under `mcpServers` in the configuration, then register them in your agent:"
    else:
        yield "  tool calls, in Claude Code:"
    for name in servers or ("NAME",):
        url = f"{doors.mcp}/mcp/{name}"
        yield f'    claude mcp add --transport http {name} {url} --header "Authorization: Bearer {key}"'
    yield "  or in the file of another agent:"
    entries: Mapping[str, Json] = {
        name: {"type": "http", "url": f"{doors.mcp}/mcp/{name}", "headers": {"Authorization": f"Bearer {key}"}}
        for name in servers or ("NAME",)
    }
    for line in json.dumps({"mcpServers": entries}, indent=2).split("\n"):
        yield f"    {line}"
    yield ""
