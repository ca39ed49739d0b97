"""Whether Wicket is signed in at an upstream server, in words for `wicket doctor` and `wicket servers list`."""

from enum import StrEnum

import anyio

from governance.clock import Clock
from governance.config.models import Config, McpServer
from governance.config.secrets import SecretsError
from governance.seal import SealError
from governance.store import StoreError
from mcp_proxy.credentials.credential import CredentialError
from mcp_proxy.credentials.grant import read_grant
from wicket.office import Office, open_office


class Sign(StrEnum):
    """How it stands with a sign-in."""

    NONE_NEEDED = ""
    SIGNED_IN = "signed in"
    NOBODY = "needs sign-in"


async def sign_of(office: Office, name: str, entry: McpServer) -> Sign:
    """How it stands with the sign-in at a server."""
    if entry.auth.grant != "authorization_code":
        return Sign.NONE_NEEDED
    try:
        kept = await office.vault.load(name)
        grant = None if kept is None else read_grant(kept.secret, entry.url)
    except (SealError, CredentialError):
        return Sign.NOBODY
    if grant is None or (grant.has_ended(office.clock.now()) and not grant.can_be_renewed):
        return Sign.NOBODY
    return Sign.SIGNED_IN


async def signs_of(config: Config, clock: Clock) -> list[tuple[str, Sign]]:
    """Each server that a person has to sign in at, and how it stands. Nothing where the records cannot be read."""
    wanted = {name: entry for name, entry in config.mcp_servers.items() if entry.auth.grant == "authorization_code"}
    sqlite = config.database.removeprefix("sqlite:///")
    if not wanted or (sqlite != config.database and not await anyio.Path(sqlite).exists()):
        return []
    try:
        async with open_office(config, clock) as office:
            return [(name, await sign_of(office, name, entry)) for name, entry in wanted.items()]
    except (StoreError, SecretsError):
        return []
