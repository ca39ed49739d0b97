"""What must hold between settings, beyond the type of each one.

Pure: it looks at a `Config` and speaks. Whether a server answers or a port is free is for `wicket doctor`.
"""

import re
from collections.abc import Iterator

from governance.config import channel_checks, oauth_checks, oidc
from governance.config.addresses import bad_address, is_loopback
from governance.config.document import Document, Problem
from governance.config.models import Config
from governance.config.oauth_checks import Complaint

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_MEND = "use up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
_ADDRESS_MEND = "write `https://HOST/PATH`"
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]")
_SHORTEST_TOKEN = 32
_DATABASES = ("sqlite:///", "postgresql://", "postgres://")


def problems(config: Config, document: Document) -> list[Problem]:
    """What is wrong with `config`, each with its line."""
    complaints = (
        *_providers(config), *_servers(config), *_fronts(config), *oauth_checks.front(config.identity.oauth),
        *oidc.problems(config.console.oidc, config.approvals.base_url), *_rest(config),
    )  # fmt: skip
    return [document.problem(*complaint) for complaint in complaints]


def warnings(config: Config, document: Document) -> list[Problem]:
    """What the author of `config` should know although it may be used."""
    mend = "set `api_key`, or `auth: none` if it needs no key"
    return [
        document.problem(("providers", name), "has no key, so calls to it are refused", mend)
        for name, provider in config.providers.items()
        if not provider.api_key and provider.auth != "none"
    ]


def _providers(config: Config) -> Iterator[Complaint]:
    for name, provider in config.providers.items():
        if not _NAME.fullmatch(name):
            yield ("providers", name), "is not a usable name", _NAME_MEND
        if what := bad_address(provider.base_url):
            yield ("providers", name, "base_url"), what, _ADDRESS_MEND


def _servers(config: Config) -> Iterator[Complaint]:
    for name, server in config.mcp_servers.items():
        place = ("mcpServers", name)
        if not _NAME.fullmatch(name):
            yield place, "is not a usable name", _NAME_MEND
        if server.command and server.url:
            yield (*place, "url"), "cannot stand beside `command`", "keep one of them"
        elif not server.command and not server.url:
            yield place, "has neither `command` nor `url`", "add `command` for stdio or `url` for HTTP"
        elif server.type and (server.type == "stdio") != bool(server.command):
            yield (*place, "type"), "does not fit", "`stdio` goes with `command`, the others with `url`"
        elif server.url and (what := bad_address(server.url)):
            yield (*place, "url"), what, _ADDRESS_MEND
        for setting, value in (("start", server.start), ("process", server.process)):
            if server.url and value in ("eager", "shared"):
                yield (*place, setting), "is for servers that Wicket starts", "leave it out beside `url`"
        yield from oauth_checks.upstream(
            server.auth, server.url, server.headers, (*place, "auth"), has_issuers=bool(config.identity.oauth.issuers)
        )


def _fronts(config: Config) -> Iterator[Complaint]:
    fronts = (("gateway", config.gateway), ("mcp", config.mcp))
    for name, listen in fronts:
        if config.identity.anonymous and not is_loopback(listen.host):
            what = "must be a loopback address while `identity.anonymous` is on"
            yield (name, "host"), what, "use keys, or `127.0.0.1`"
    if config.gateway.port == config.mcp.port != 0 and config.gateway.host == config.mcp.host:
        yield ("mcp", "port"), "must differ from `gateway.port`", "choose another one"
    for index, host in enumerate(config.hosts):
        if not _HOST.fullmatch(host):
            yield ("hosts", index), "must be a host name without port or path", "write `wicket.example.org`"


def _rest(config: Config) -> Iterator[Complaint]:
    if not config.database.startswith(_DATABASES):
        yield ("database",), "must be `sqlite:///PATH` or `postgresql://...`", "leave it out for SQLite in `state`"
    if 0 < len(config.metrics.token) < _SHORTEST_TOKEN:
        yield ("metrics", "token"), "is too short to be secret", "write 32 random characters or more into it"
    for index, budget in enumerate(config.budgets):
        if budget.usd is None and budget.tokens is None and budget.calls is None:
            yield ("budgets", index), "sets no ceiling", "add `usd`, `tokens` or `calls`"
    for index, webhook in enumerate(config.approvals.webhooks):
        if what := bad_address(webhook.url):
            yield ("approvals", "webhooks", index, "url"), what, _ADDRESS_MEND
    for name, channel in config.approvals.channels.items():
        yield from channel_checks.channel(name, channel)
