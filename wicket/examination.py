"""What `wicket doctor` looks at. Changes nothing, and tells no secret."""

import importlib.util
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

import anyio

from approvals.webhook.standing import FAILING as UNHEARD
from approvals.webhook.standing import GONE, Standing, standings
from governance.clock import Clock
from governance.config.addresses import shown
from governance.config.load import ConfigError, Reading, inspect
from governance.config.models import Config, Listen
from governance.config.secrets import SecretsError, open_secrets
from governance.health.report import FAILING, UNKNOWN, Report, current
from governance.health.store import SqlHealth
from governance.jsontree import Json, JsonObject
from governance.policy.load import load as load_policy
from governance.store import StoreError
from wicket.installation import InstallationError, check_installation
from wicket.office import open_office
from wicket.signs import Sign, signs_of

_SQLITE = "sqlite:///"


class Health(StrEnum):
    """How well something is."""

    WELL = "ok"
    NOTE = "note"
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    health: Health
    text: str
    facts: JsonObject = field(default_factory=dict[str, Json])
    """The same for programs, where there is more to tell."""

    def as_json(self) -> JsonObject:
        """For programs."""
        return {"subject": self.subject, "health": self.health.value, "text": self.text, **self.facts}


async def examine(config_file: Path, clock: Clock) -> list[Finding]:
    """Look at the installation and at the configuration in `config_file`, in the order in which things are needed."""
    findings = [_installation()]
    try:
        reading = inspect(config_file)
    except ConfigError as error:
        return [*findings, *(Finding("configuration", Health.BAD, str(problem)) for problem in error.problems)]
    config = reading.config
    findings += [*_configuration(reading), *_policies(config), _secrets(config), await _database(config, clock)]
    findings += [_listen("gateway", config.gateway), _listen("mcp", config.mcp)]
    findings += [*_providers(config), *_servers(config), *await _standing(config, clock)]
    findings += [*await _signs(config, clock), *await _channels(config, clock), _engine(config)]
    return findings


def _installation() -> Finding:
    try:
        check_installation()
    except InstallationError as error:
        return Finding("installation", Health.BAD, str(error))
    return Finding("installation", Health.WELL, "the packages are Wicket's own")


def _configuration(reading: Reading) -> Iterator[Finding]:
    if not reading.warnings:
        yield Finding("configuration", Health.WELL, "sound")
    for warning in reading.warnings:
        yield Finding("configuration", Health.NOTE, str(warning))


def _policies(config: Config) -> Iterator[Finding]:
    try:
        policy = load_policy(Path(policy) for policy in config.policies)
    except ConfigError as error:
        yield from (Finding("policy", Health.BAD, str(problem)) for problem in error.problems)
        return
    yield Finding("policy", Health.WELL, f"{len(policy.rules)} rules, version {policy.version[:12]}")


def _secrets(config: Config) -> Finding:
    try:
        open_secrets(config)
    except SecretsError as error:
        return Finding("secrets", Health.BAD, str(error))
    return Finding("secrets", Health.WELL, "random, and readable by their owner only")


async def _database(config: Config, clock: Clock) -> Finding:
    if not await _has_database(config):
        missing = config.database.removeprefix(_SQLITE)
        return Finding("database", Health.BAD, f"`{missing}` is not there: run `wicket init`")
    try:
        async with open_office(config, clock) as office:
            keys = [key for key in await office.keys.all() if not key.refusal(clock.now())]
    except (StoreError, SecretsError) as error:
        return Finding("database", Health.BAD, str(error))
    if not keys and not config.identity.anonymous:
        return Finding("database", Health.NOTE, "no valid key, so nobody can come in: `wicket keys create`")
    return Finding("database", Health.WELL, f"`{office.store.name}`, {len(keys)} valid keys")


async def _has_database(config: Config) -> bool:
    """Whether there is a file to look into: opening would make one."""
    return not config.database.startswith(_SQLITE) or await anyio.Path(config.database.removeprefix(_SQLITE)).exists()


def _listen(name: str, listen: Listen) -> Finding:
    try:
        with socket.create_connection((listen.host.strip("[]"), listen.port), timeout=0.5):
            return Finding(name, Health.NOTE, f"something listens on {listen.host}:{listen.port}: Wicket, if it is up")
    except OSError:
        return Finding(name, Health.WELL, f"{listen.host}:{listen.port} is free")


def _providers(config: Config) -> Iterator[Finding]:
    if not config.providers:
        yield Finding("providers", Health.NOTE, "none, so model calls are refused: add `providers`")
    for name, provider in config.providers.items():
        if provider.api_key or provider.auth == "none":
            yield Finding(f"provider {name}", Health.WELL, f"{provider.wire} at {shown(provider.base_url)}")


def _servers(config: Config) -> Iterator[Finding]:
    if not config.mcp_servers:
        yield Finding("servers", Health.NOTE, "none, so tool calls are refused: add `mcpServers`")
    for name, server in config.mcp_servers.items():
        subject = f"server {name}"
        if server.url:
            yield Finding(subject, Health.WELL, f"at {shown(server.url)}")
        elif shutil.which(server.command, path=server.env.get("PATH", os.environ.get("PATH"))):
            yield Finding(subject, Health.WELL, f"runs `{server.command}`")
        else:
            text = f"the program `{server.command}` is not there: install it, or give its whole path"
            yield Finding(subject, Health.BAD, text)


async def _standing(config: Config, clock: Clock) -> list[Finding]:
    """How the servers are, as the MCP proxies say that run now."""
    if not config.mcp_servers or not await _has_database(config):
        return []
    try:
        async with open_office(config, clock) as office:
            found = current(await SqlHealth(office.store, clock).all(), list(config.mcp_servers), clock.now())
    except (StoreError, SecretsError):
        return []  # said already, of the database
    if not any(one.is_known for one in found):
        return [Finding("servers", Health.NOTE, "no MCP proxy runs now, so how they are is not known")]
    return [Finding(f"server {one.server}", *_told(one), {"server": asdict(one)}) for one in found]


def _told(report: Report) -> tuple[Health, str]:
    restarts = f", restarted {report.restarts} times" if report.restarts else ""
    if report.state == FAILING:
        return Health.BAD, f"failing since {report.since}: {report.last_error}{restarts}"
    if report.state == UNKNOWN:
        return Health.WELL, "not needed yet, so not known"
    error = f"; last error at {report.last_error_at}: {report.last_error}" if report.last_error else ""
    return Health.WELL, f"{report.state} since {report.since}, {report.tools} tools{restarts}{error}"


async def _signs(config: Config, clock: Clock) -> list[Finding]:
    return [
        Finding(f"server {name}", Health.WELL, "signed in")
        if sign is Sign.SIGNED_IN
        else Finding(f"server {name}", Health.BAD, f"needs a person to sign in: run `wicket servers login {name}`")
        for name, sign in await signs_of(config, clock)
    ]


async def _channels(config: Config, clock: Clock) -> list[Finding]:
    """Whether people hear of what waits for them."""
    if not (config.approvals.webhooks or config.approvals.channels) or not await _has_database(config):
        return []
    try:
        async with open_office(config, clock) as office:
            found = standings(office.routes, await office.deliveries.counted())
    except (StoreError, SecretsError, ValueError):
        return []  # said already, of the database, or by whoever opens it
    return [_heard(one) for one in found]


def _heard(one: Standing) -> Finding:
    subject, facts = f"channel {one.name}", JsonObject(channel=one.as_json())
    last = f", the last message that arrived is of {one.delivered_at}" if one.delivered_at else ""
    if one.state == GONE:
        text = "its receiver said that it is gone, so nothing is sent there: give it another `url`"
        return Finding(subject, Health.BAD, text, facts)
    if one.state == UNHEARD:
        text = f"failing: {one.waiting} messages wait, {one.given_up} were given up{last}"
        text += f": try `wicket channels test {one.name}`"
        return Finding(subject, Health.BAD, text, facts)
    return Finding(subject, Health.WELL, f"{one.kind}: {one.state}, {one.waiting} messages wait{last}", facts)


def _engine(config: Config) -> Finding:
    if config.detect.engine != "re" and importlib.util.find_spec("hyperscan") is None:
        health = Health.BAD if config.detect.engine == "hyperscan" else Health.NOTE
        return Finding("detection", health, "Hyperscan is not installed, so detection is slower")
    return Finding("detection", Health.WELL, f"engine `{config.detect.engine}`")
