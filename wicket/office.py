"""The records of an installation, opened for one command: no proxy, no policy, nothing that keeps running.

What a serving process opens is `pipeline/runtime.py`.
"""

import getpass
import os
import pwd
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio

from approvals.channels.kinds import routes
from approvals.delegation.store import SqlDelegations
from approvals.desk import Desk, Manners
from approvals.grants.store import SqlGrants
from approvals.quorum import Approver, person_of
from approvals.store import SqlTickets
from approvals.webhook.message import Announcer
from approvals.webhook.route import Route
from approvals.webhook.store import SqlDeliveries
from console.store import SqlPeople
from governance.audit.event import AuditError
from governance.audit.log import Journal
from governance.clock import Clock
from governance.config.load import load
from governance.config.models import Config
from governance.config.secrets import Secrets, open_secrets
from governance.identity.directory import ADMINISTRATOR
from governance.identity.keys import KeyRole
from governance.identity.store import SqlKeys
from governance.pins.reviews import Reviews
from governance.pins.store import SqlPins
from governance.store import Store, StoreError, open_store
from governance.vault.store import SqlVault
from pipeline.closing import closing
from sessions.killswitch import KillSwitch
from sessions.labels.store import SqlLabels
from sessions.store import SqlKills, SqlRuns, SqlWitnesses
from wicket.addresses import console_address
from wicket.command import Situation
from wicket.exits import CommandError, Exit

T = TypeVar("T")


@dataclass(frozen=True)
class Office:
    """Everything a command may read or change."""

    config: Config
    secrets: Secrets
    clock: Clock
    store: Store
    audit: Journal
    keys: SqlKeys
    desk: Desk
    grants: SqlGrants
    delegations: SqlDelegations
    routes: list[Route]
    """Every way by which somebody is told of what waits."""
    deliveries: SqlDeliveries
    reviews: Reviews
    kills: KillSwitch
    witnesses: SqlWitnesses
    runs: SqlRuns
    labels: SqlLabels
    vault: SqlVault
    people: SqlPeople


@asynccontextmanager
async def open_office(config: Config, clock: Clock) -> AsyncGenerator[Office]:
    """Open the records that `config` names.

    Raises:
        SecretsError: a secret must not be used.
        StoreError: the database cannot be opened.
    """
    secrets = open_secrets(config)
    async with open_store(config.database) as store:
        audit = Journal(store, secrets.master, clock, writer="cli")
        approvals, told = config.approvals, routes(config.approvals)
        announcer = Announcer(told, console_address(config))
        manners = Manners(approvals.timeout_seconds, approvals.wait_seconds, console_address(config))
        desk = Desk(SqlTickets(store, audit, announcer), clock, manners)
        yield Office(
            config=config,
            secrets=secrets,
            clock=clock,
            store=store,
            audit=audit,
            keys=SqlKeys(store, audit, clock),
            desk=desk,
            grants=SqlGrants(store, audit),
            delegations=SqlDelegations(store, audit),
            routes=told,
            deliveries=SqlDeliveries(store),
            reviews=Reviews(SqlPins(store, audit, clock), clock),
            kills=KillSwitch(SqlKills(store, audit, clock), audit, clock, on_kill=closing(desk)),
            witnesses=SqlWitnesses(store, clock),
            runs=SqlRuns(store),
            labels=SqlLabels(store),
            vault=SqlVault(store, audit, clock, secrets.master),
            people=SqlPeople(store, audit, clock),
        )


def in_office(situation: Situation, work: Callable[[Office], Awaitable[T]], *, spin: bool = True) -> T:
    """Open the records, do `work` with them, close them, and return what it returned.

    Args:
        situation: what the command is run with.
        work: what to do.
        spin: whether a person is shown that it takes a while; not where `work` shows its own progress.
    """

    async def run() -> T:
        async with open_office(load(Path(situation.options.config)), situation.clock) as office:
            return await work(office)

    try:
        with situation.terminal.progress("opening the records") if spin else nullcontext():
            return anyio.run(run)
    except (StoreError, AuditError) as error:
        raise CommandError(Exit.UNAVAILABLE, str(error)) from error


def approver() -> Approver:
    """Who runs the command, as one who decides: an administrator, by the login that the operating system knows.

    Whoever can read the state directory holds the administrator's token too, so both count as one person.
    """
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = ""
    return Approver(actor(), person_of("", ADMINISTRATOR), user, KeyRole.ADMIN.value)


def actor() -> str:
    """Who runs the command, for the record. Whoever can read the state directory may do all of this."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"
