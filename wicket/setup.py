"""The first run: a commented configuration, a policy, random secrets, a database, one key for one agent.

Nothing that exists is ever overwritten, so it can be run at any time.
"""

from dataclasses import dataclass, field
from pathlib import Path

from governance.audit.event import AuditError
from governance.clock import Clock
from governance.config.load import load
from governance.config.models import Config
from governance.config.secrets import prepare
from governance.identity.keys import Grant, mint
from governance.store import StoreError
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, open_office

STARTER = Path(__file__).parent / "starter"
FIRST_KEY = "first agent"


@dataclass(frozen=True)
class Prepared:
    """What a first run made."""

    config: Config
    made: tuple[Path, ...]
    """Files that were not there before."""
    token: str = field(default="", repr=False)
    """Token of the first agent's key, where one was made: there was no key at all."""


async def set_up(config_file: Path, clock: Clock) -> Prepared:
    """Make what is missing for the configuration at `config_file`.

    Raises:
        CommandError: a file cannot be written, or the database not opened.
        ConfigError: the configuration that is there cannot be used.
        SecretsError: the secrets that are there must not be used.
    """
    made: list[Path] = []
    if _write_new(config_file, (STARTER / "wicket.yaml").read_text()):
        made.append(config_file)
        policy = config_file.parent / "policy.yaml"
        if _write_new(policy, (STARTER / "policy.yaml").read_text()):
            made.append(policy)
    config = load(config_file)
    external = bool(config.secrets.master_key and config.secrets.admin_token)
    made += prepare(Path(config.state), external=external)
    try:
        async with open_office(config, clock) as office:
            token = "" if await office.keys.all() else await _first_key(office)
    except (StoreError, AuditError) as error:
        raise CommandError(Exit.UNAVAILABLE, str(error)) from error
    return Prepared(config, tuple(made), token)


async def _first_key(office: Office) -> str:
    first = mint(Grant(name=FIRST_KEY), office.clock.now())
    await office.keys.add(first.key, actor=actor())
    return first.token


def _write_new(path: Path, text: str) -> bool:
    if path.exists():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(text)
    except OSError as error:
        raise CommandError(
            Exit.UNAVAILABLE, f"`{path}` cannot be written ({error.strerror}): choose another place with `--config`"
        ) from None
    return True
