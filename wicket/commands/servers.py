"""`wicket servers`: which upstream MCP servers there are, and signing in at those that want a person."""

from pathlib import Path

import anyio

from governance.audit.event import AuditError
from governance.config.addresses import shown
from governance.config.load import load
from governance.config.models import Config, McpServer
from governance.jsontree import Json
from governance.store import StoreError
from mcp_proxy.credentials.authority import open_authority
from mcp_proxy.credentials.credential import CredentialError, SignInError
from mcp_proxy.credentials.grant import Grant
from mcp_proxy.credentials.opening import sdk_client
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.loopback import open_browser
from wicket.office import Office, actor, in_office, open_office
from wicket.signs import Sign, sign_of
from wicket.terminal import reveal, table

LONGEST_SECONDS = 600.0
"""How long a person may take."""


def list_servers(situation: Situation) -> Exit:
    """List the configured servers, and whether Wicket is signed in."""

    async def work(office: Office) -> list[dict[str, Json]]:
        return [
            {"name": name, "reached_by": entry.command or shown(entry.url), "auth": _auth(entry),
             "state": (await sign_of(office, name, entry)).value}
            for name, entry in office.config.mcp_servers.items()
        ]  # fmt: skip

    rows = in_office(situation, work)
    columns = ("name", "reached_by", "auth", "state")
    situation.terminal.show(list(rows), table(rows, columns, "no servers: add `mcpServers` to the configuration"))
    return Exit.DONE


def login(situation: Situation) -> Exit:
    """Sign in at a server with a browser, and keep what it grants."""
    name = str(situation.options.name)
    config = load(Path(situation.options.config))
    entry = _wants_person(config, name)

    async def work() -> None:
        async with open_office(config, situation.clock) as office:
            outcome = await _signed_in(name, entry, situation)
            if isinstance(outcome, Exception):
                raise CommandError(Exit.UNAVAILABLE, str(outcome))
            await office.vault.sign_in(name, outcome.as_bytes(), actor=actor())

    try:
        anyio.run(work)
    except (StoreError, AuditError) as error:
        raise CommandError(Exit.UNAVAILABLE, str(error)) from error
    situation.terminal.show({"name": name, "state": Sign.SIGNED_IN.value}, f"signed in at `{name}`")
    return Exit.DONE


async def _signed_in(name: str, entry: McpServer, situation: Situation) -> Grant | Exception:
    """What a person was granted, or why nothing was. Errors are handed out, past the listener's task group."""

    def show(url: str) -> None:
        situation.terminal.say(f"open this address and sign in:\n\n{reveal(url)}\n")

    outcome: Grant | Exception = SignInError("nobody signed in within ten minutes: run the command again")
    async with open_authority(entry) as http, open_browser(entry.auth.callback_port, show) as browser:
        with anyio.move_on_after(LONGEST_SECONDS):
            try:
                outcome = await sdk_client(name, entry, http, situation.clock).obtain(browser)
            except (CredentialError, SignInError) as error:
                outcome = error
    return outcome


def logout(situation: Situation) -> Exit:
    """Forget what a server granted."""
    name = str(situation.options.name)

    async def work(office: Office) -> bool:
        return await office.vault.forget(name, actor=actor())

    if not in_office(situation, work):
        raise CommandError(Exit.ABSENT, f"nobody is signed in at `{name}`")
    situation.terminal.show({"name": name, "state": Sign.NOBODY.value}, f"forgot the sign-in at `{name}`")
    return Exit.DONE


def _wants_person(config: Config, name: str) -> McpServer:
    entry = config.mcp_servers.get(name)
    if entry is None:
        raise CommandError(Exit.ABSENT, f"no server `{name}` is configured: `wicket servers list` shows all")
    if entry.auth.grant != "authorization_code":
        raise CommandError(
            Exit.CONFIG, f"nobody signs in at `{name}`: set `mcpServers.{name}.auth.grant` to `authorization_code`"
        )
    return entry


def _auth(entry: McpServer) -> str:
    return entry.auth.grant or ("headers" if entry.headers else "")


COMMANDS = (
    Command("servers list", "list the upstream MCP servers, and whether Wicket is signed in", list_servers),
    Command(
        "servers login",
        "sign in at a server with a browser, and keep what it grants, sealed",
        login,
        (argument("name", help="name of the server"),),
    ),
    Command(
        "servers logout",
        "forget what a server granted; running proxies use it until it ends",
        logout,
        (argument("name", help="name of the server"),),
    ),
)
