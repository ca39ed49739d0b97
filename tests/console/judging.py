"""A policy that is taken up and asked, as the proxies do it."""

from dataclasses import replace
from typing import Any

from governance.audit.event import Tag
from governance.exchange import Exchange, Phase, SessionRef
from governance.history.ledger import Keeping, Ledger
from governance.history.store import SqlShelf, SqlVersions
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.policy.load import compile_sources
from governance.verdict import Decision, Verdict
from pipeline import record
from tests.console.core import Core
from tests.governance.policy.calls import call


async def take_up(core: Core, text: str, *, by: str = "mcp", file: str = "policy.yaml") -> Policy:
    """Take a policy up, a second later than what was before it."""
    core.clock.advance(1)
    policy = compile_sources([(file, text)])
    versions, rules = SqlVersions(core.store), len(policy.rules)
    await core.store.write(versions.taken_up(policy.version, [(file, text)], rules=rules, by=by, at=core.clock.now()))
    return policy


async def judge(core: Core, policy: Policy, exchange_id: str, *, session: str = "ses_1", **given: Any) -> Exchange:
    """Have a policy judge a call (as `Given` describes it), count what it said, and write the decision down."""
    exchange = replace(
        call(**{"tenant": "acme", **given}),
        id=exchange_id,
        at=core.clock.now(),
        session=SessionRef(session, "explicit", 1),
    )
    ledger = Ledger(SqlShelf(core.store), core.clock, Keeping(facts=True, arguments=True))

    def around() -> Around:
        return Around(core.clock.now(), 0)

    heard: list[Verdict] = []
    verdict = policy.judge(exchange, Phase.REQUEST, around, heard)
    ledger.hear(exchange, Phase.REQUEST, verdict, heard, around)
    await ledger.flush()
    refused = verdict.decision.strength >= Decision.DENY.strength
    tag = Tag.EXCHANGE_REFUSED if refused else Tag.EXCHANGE_ADMITTED
    await core.audit.append(record.decision(tag, exchange, verdict))
    return exchange
