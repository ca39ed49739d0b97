"""Opens everything a proxy process needs, and closes it in reverse.

Nothing else in the project opens a store, a policy or a detector for a serving process. Which proxy is served on top
is decided by the command floor.
"""

import importlib
import logging
import secrets as randomness
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio

from approvals.channels.kinds import routes
from approvals.desk import Desk, Manners
from approvals.grants.store import SqlGrants
from approvals.grants.watch import watch as watch_grants
from approvals.store import SqlTickets
from approvals.webhook.courier import Courier
from approvals.webhook.message import Announcer
from approvals.webhook.store import SqlDeliveries
from governance import jsontree
from governance.audit.event import AuditError, Draft, Tag
from governance.audit.flood import Bounded
from governance.audit.keys import derive
from governance.audit.log import Journal
from governance.budget.prices import Prices
from governance.budget.stage import BudgetStage
from governance.budget.store import SqlCounters
from governance.catalog.catalog import Catalog
from governance.catalog.schema_stage import SchemaStage
from governance.catalog.stage import CatalogStage
from governance.catalog.store import SqlDefinitions
from governance.clock import Clock
from governance.config.models import Config
from governance.config.secrets import Secrets
from governance.detect.actions import Actions
from governance.detect.detector import Detector, open_detector
from governance.detect.stage import DetectStage
from governance.exchange import EMPTY, Resource
from governance.history.ledger import Keeping, Ledger
from governance.history.store import SqlShelf, SqlVersions
from governance.identity.directory import AccessTokens, Identity
from governance.identity.stage import IdentityStage
from governance.identity.store import SqlKeys
from governance.jsontree import Json
from governance.pins.manifest import read_manifest
from governance.pins.pins import Pins
from governance.pins.plan import Rules
from governance.pins.reviews import Reviews, page
from governance.pins.scan import scanner
from governance.pins.stage import PinStage
from governance.pins.store import SqlPins
from governance.policy.holder import Policies, PolicyEvent, open_policies
from governance.policy.stage import PolicyStage
from governance.store import Store, open_store
from governance.vault.store import SqlVault
from pipeline import stages
from pipeline.closing import closing
from pipeline.guard import Guard
from pipeline.organs import Organs
from pipeline.stream import StreamGuard
from pipeline.tally import Tally
from sessions.killswitch import KillStage, KillSwitch, ProbationStage, Scope
from sessions.labels.book import Labels, Sources
from sessions.labels.store import SqlLabels
from sessions.likeness import SAID
from sessions.loop_stage import LoopStage
from sessions.proposals import Proposals
from sessions.roll import Roll
from sessions.store import SqlKills, SqlProposals, SqlRuns, SqlWitnesses
from sessions.witness import Witness

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """Everything that is open."""

    config: Config
    clock: Clock
    store: Store
    audit: Journal
    strangers: Bounded
    """Where it is written down that somebody was turned away who need not have a key."""
    identity: Identity
    keys: SqlKeys
    vault: SqlVault
    """What upstream servers granted us."""
    policies: Policies
    ledger: Ledger
    """Notes what the policy is asked."""
    detector: Detector
    catalog: Catalog
    pins: Pins
    reviews: Reviews
    prices: Prices
    desk: Desk
    grants: SqlGrants
    kills: KillSwitch
    runs: SqlRuns
    roll: Roll
    labels: Labels
    guard: Guard
    tally: Tally
    """What this process counts."""
    key_for: Callable[[str], bytes] = field(repr=False)
    """The key for a purpose, derived from the master key (`governance.audit.keys.derive`)."""


@asynccontextmanager
async def open_runtime(
    config: Config, secrets: Secrets, *, clock: Clock, process: str, console: str
) -> AsyncGenerator[Runtime]:
    """Open the core for one process, with the tasks that keep it fresh.

    Args:
        config: the configuration.
        secrets: master key and administrator's token.
        clock: the only source of time.
        process: name of this process in its audit events.
        console: address of the console, for links in answers.

    Raises:
        ConfigError, StoreError, PolicyError, AuditError: it cannot be opened; nothing is served then.
    """
    async with open_store(config.database) as store, _tokens(config, clock) as tokens:
        audit = Journal(store, secrets.master, clock, writer=process)
        await audit.append(Draft(Tag.PROCESS_STARTED, {"process": process}))
        policies = await open_policies(
            [Path(one) for one in config.policies], _record_policy(audit, SqlVersions(store), clock, process)
        )
        identity = Identity(SqlKeys(store, audit, clock), clock, config.identity, secrets.admin_token, tokens)
        await identity.refresh()
        vault = SqlVault(store, audit, clock, secrets.master)
        witness = Witness(randomness.token_hex(8), process, SqlWitnesses(store, clock), clock)
        runtime = _assemble(config, secrets, clock, store, audit, policies, identity, vault, console, witness)
        await runtime.catalog.restore()
        courier = Courier(SqlDeliveries(store), routes(config.approvals), clock)
        async with anyio.create_task_group() as tasks:
            watches = (runtime.desk.watch, runtime.kills.watch, runtime.strangers.watch, courier.watch)
            granting = partial(watch_grants, runtime.grants, lambda: policies.current.holding, clock)
            more = (runtime.guard.notes.watch, granting, *((tokens.run,) if tokens else ()))
            for task in (policies.follow, runtime.ledger.run, identity.run, *watches, *more):
                tasks.start_soon(task)
            try:
                yield runtime
            finally:
                tasks.cancel_scope.cancel()
        await witness.leave()
        await runtime.ledger.flush()
        await runtime.strangers.tell()
        await runtime.guard.notes.tell()
        try:
            await audit.append(Draft(Tag.PROCESS_STOPPED, {"process": process}))
        except AuditError as error:
            log.error("the end of process `%s` is not recorded: %s", process, error)  # noqa: TRY400


def _assemble(
    config: Config,
    secrets: Secrets,
    clock: Clock,
    store: Store,
    audit: Journal,
    policies: Policies,
    identity: Identity,
    vault: SqlVault,
    console: str,
    witness: Witness,
) -> Runtime:
    desk = _desk(config, clock, store, audit, console)
    detector, actions = open_detector(config.detect.engine, Path(config.state) / "cache"), Actions(config.detect)
    catalog = Catalog(SqlDefinitions(store, clock))
    pins = _pins(config, clock, SqlPins(store, audit, clock), detector, actions, console)
    loop = LoopStage(config.loop, clock=clock, said=_said(catalog, pins))
    table, runs, prices = SqlKills(store, audit, clock, _begin_anew(loop)), SqlRuns(store), Prices(config.prices, clock)
    kills = KillSwitch(table, audit, clock, on_kill=closing(desk), watcher=witness)
    roll = Roll(runs, clock, _proposals(config, clock, store, catalog))
    budget = BudgetStage(config.budgets, counters=SqlCounters(store), prices=prices, clock=clock)
    labels, ledger = Labels(SqlLabels(store), Sources.of(config)), _ledger(config, clock, store)
    policy = PolicyStage(policies, clock=clock, calls=loop.loops.calls, labels=labels.carried_by, listener=ledger)
    checks = stages.Organs(
        kill=KillStage(kills), identity=IdentityStage(identity), catalog=CatalogStage(), pins=PinStage(pins),
        detect=DetectStage(detector, actions), policy=policy, schema=SchemaStage(catalog, config.mcp_servers),
        loop=loop, probation=ProbationStage(kills), budget=budget,
    )  # fmt: skip
    organs = Organs(
        stages=stages.default_stages(checks), audit=audit, desk=desk, grants=SqlGrants(store, audit), kills=kills,
        clock=clock, sight=policy, roll=roll, labels=labels, utilization=budget.utilization,
        masked_content=config.audit.content == "masked", relieve=loop.relieve, ear=loop.ear,
        stream=lambda exchange, role: StreamGuard(detector, actions, exchange.principal.tenant, role),
    )  # fmt: skip
    return Runtime(
        config=config,
        clock=clock,
        store=store,
        audit=audit,
        strangers=Bounded(audit, clock),
        identity=identity,
        keys=SqlKeys(store, audit, clock),
        vault=vault,
        policies=policies,
        ledger=ledger,
        detector=detector,
        catalog=catalog,
        pins=pins,
        reviews=Reviews(pins.store, clock),
        prices=prices,
        desk=desk,
        grants=organs.grants,
        kills=kills,
        runs=runs,
        roll=roll,
        labels=labels,
        guard=Guard(organs),
        tally=organs.tally,
        key_for=partial(derive, secrets.master),
    )


def _ledger(config: Config, clock: Clock, store: Store) -> Ledger:
    keep = config.replay
    keeping = Keeping(keep.keep != "nothing", keep.keep == "arguments", keep.days, keep.most)
    return Ledger(SqlShelf(store), clock, keeping)


def _proposals(config: Config, clock: Clock, store: Store, catalog: Catalog) -> Proposals | None:
    """What models asked for; nothing where no model is served."""
    names = tuple(config.mcp_servers)
    return Proposals(SqlProposals(store), clock, names, catalog.has) if config.providers else None


def _pins(config: Config, clock: Clock, store: SqlPins, detector: Detector, actions: Actions, console: str) -> Pins:
    rules = Rules(config.mcp_servers, scanner(detector, actions), read_manifest(config.pin_manifest))
    return Pins(store, clock, rules, partial(page, console))


def _said(catalog: Catalog, pins: Pins) -> Callable[[Resource], Mapping[str, Json]]:
    """What a server says of loops in the `_meta` of a tool: believed of the very definition that its pin trusts.

    Whether that is so was judged before (`governance/pins/stage.py`); a server without pins is not believed.
    """

    def said(resource: Resource) -> Mapping[str, Json]:
        known = catalog.seen(resource.server, resource.name)
        believed = pins.pinned(resource.server) and known.definition == resource.definition
        return jsontree.as_object(known.meta.get(SAID)) if believed else EMPTY

    return said


def _tokens(config: Config, clock: Clock) -> AbstractAsyncContextManager[AccessTokens | None]:
    """Access tokens. They are kept only where a server is to get another one in exchange for them."""
    if not config.identity.oauth.issuers:
        return nullcontext()  # and what verifies them is not even loaded
    exchanges = any(server.auth.grant == "token_exchange" for server in config.mcp_servers.values())
    opening = importlib.import_module("governance.identity.tokens").open_tokens
    opened: AbstractAsyncContextManager[AccessTokens | None] = opening(config.identity.oauth, clock, keep=exchanges)
    return opened


def _desk(config: Config, clock: Clock, store: Store, audit: Journal, console: str) -> Desk:
    approvals = config.approvals
    announcer = Announcer(routes(approvals), console)
    manners = Manners(approvals.timeout_seconds, approvals.wait_seconds, console, approvals.most_pending)
    return Desk(SqlTickets(store, audit, announcer), clock, manners)


def _begin_anew(loop: LoopStage) -> Callable[[Scope, str], None]:
    """A revived run starts its count of repetitions again, or its next call would stop it at once."""

    def forget(scope: Scope, target: str) -> None:
        if scope is Scope.SESSION:
            loop.forget(target)

    return forget


def _record_policy(
    audit: Journal, versions: SqlVersions, clock: Clock, process: str
) -> Callable[[PolicyEvent], Awaitable[None]]:
    async def record(event: PolicyEvent) -> None:
        tag = Tag.POLICY_LOADED if event.loaded else Tag.POLICY_REJECTED
        fields = {"policy_version": event.version, "files": list(event.files), "problems": list(event.problems)}
        keep = versions.taken_up(event.version, event.sources, rules=event.rules, by=process, at=clock.now())
        await audit.append(Draft(tag, fields), keep if event.loaded else None)

    return record
