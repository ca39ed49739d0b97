"""What a key covers, judged again after a hold."""

import dataclasses
from datetime import timedelta

import pytest

from governance.config.models import Identity as Settings
from governance.exchange import Action, Body, Exchange, Phase, Resource, SessionRef
from governance.identity.directory import Identity
from governance.identity.keys import Grant, mint
from governance.identity.stage import IdentityStage
from governance.stage import Stage
from governance.verdict import Decision
from tests.conftest import ManualClock
from tests.governance.identity.test_directory import Shelf
from tests.thoughts import told


async def made(clock: ManualClock, grant: Grant, resource: Resource) -> tuple[Shelf, Identity, Exchange]:
    shelf = Shelf()
    minted = mint(grant, clock.now())
    shelf.keys.append(minted.key)
    identity = Identity(shelf, clock, Settings())
    await identity.refresh()
    action = Action.TOOL_CALL if resource.server else Action.LLM_GENERATE
    principal = identity.principal(minted.token)
    return (
        shelf,
        identity,
        Exchange("x", clock.now(), action, principal, resource, SessionRef("s", "key"), Body.parse(b"{}")),
    )


@pytest.mark.parametrize(
    ("grant", "resource", "rule"),
    [
        (Grant(), Resource(server="files", name="read"), ""),
        (Grant(), Resource(model="gpt-x"), ""),
        (Grant(servers=("file*", "web")), Resource(server="files", name="read"), ""),
        (Grant(servers=("web",)), Resource(server="files", name="read"), "identity.server"),
        (Grant(servers=()), Resource(server="files", name="read"), "identity.server"),
        (Grant(models=("claude-*",)), Resource(model="claude-x"), ""),
        (Grant(models=("claude-*",)), Resource(model="gpt-x"), "identity.model"),
        (Grant(models=("claude-*",)), Resource(model="my/claude-x"), "identity.model"),
    ],
)
async def test_a_key_covers_only_what_it_grants(clock: ManualClock, grant: Grant, resource: Resource, rule: str):
    _, identity, exchange = await made(clock, grant, resource)
    stage: Stage = IdentityStage(identity)
    verdict = await told(stage.judge(exchange, Phase.REQUEST))
    assert verdict.rule == rule
    assert (verdict.decision is Decision.DENY) == bool(rule)


async def test_a_key_that_lapsed_while_a_call_was_held_refuses(clock: ManualClock):
    grant = Grant(expires_at=clock.now() + timedelta(seconds=5))
    shelf, identity, exchange = await made(clock, grant, Resource(server="files"))
    assert (await told(IdentityStage(identity).judge(exchange, Phase.REQUEST))).decision is Decision.ALLOW
    clock.advance(5)
    verdict = await told(IdentityStage(identity).judge(exchange, Phase.REQUEST))
    assert (verdict.decision, verdict.rule, verdict.reason) == (Decision.DENY, "identity.key", "this key has expired")
    shelf.keys[0] = dataclasses.replace(shelf.keys[0], revoked_at=clock.now())
    await identity.refresh()
    assert (await told(IdentityStage(identity).judge(exchange, Phase.REQUEST))).reason == "this key was revoked"


async def test_stale_keys_refuse(clock: ManualClock):
    _, identity, exchange = await made(clock, Grant(), Resource(server="files"))
    clock.advance(61)
    assert (await told(IdentityStage(identity).judge(exchange, Phase.REQUEST))).rule == "identity.stale"


async def test_a_response_is_not_the_business_of_this_check(clock: ManualClock):
    _, identity, exchange = await made(clock, Grant(servers=()), Resource(server="files"))
    assert (await told(IdentityStage(identity).judge(exchange, Phase.RESPONSE))).decision is Decision.ALLOW
