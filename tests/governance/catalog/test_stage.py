"""Calls that are certainly not calls are refused."""

from datetime import UTC, datetime

import pytest

from governance.catalog.stage import CatalogStage
from governance.exchange import Action, Body, Exchange, Phase, Principal, Resource, SessionRef
from governance.jsontree import Json
from governance.verdict import ALLOWED, Decision
from tests.thoughts import told


def call(name: str = "read", arguments: Json = None, *, action: Action = Action.TOOL_CALL) -> Exchange:
    params: Json = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
    return Exchange(
        id="exc_1",
        at=datetime(2026, 11, 21, tzinfo=UTC),
        action=action,
        principal=Principal("key_1"),
        resource=Resource(server="files", name=name),
        session=SessionRef("ses_1", "explicit", 1),
        request=Body({"params": params}),
    )


@pytest.mark.parametrize("name", ["", "x" * 129, "read\u200b", "re\nad", "\u202ederf"])
async def test_a_name_that_no_tool_can_have_is_refused(name: str) -> None:
    verdict = await told(CatalogStage().judge(call(name), Phase.REQUEST))
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "catalog.name")


@pytest.mark.parametrize("arguments", [[], "path", 7, True])
async def test_arguments_that_are_no_object_are_refused(arguments: Json) -> None:
    verdict = await told(CatalogStage().judge(call(arguments=arguments), Phase.REQUEST))
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "catalog.arguments")


async def test_arguments_that_are_null_are_refused() -> None:
    exchange = call()
    null = Body({"params": {"name": "read", "arguments": None}})
    verdict = await told(
        CatalogStage().judge(
            Exchange(
                exchange.id, exchange.at, exchange.action, exchange.principal, exchange.resource, exchange.session, null
            ),
            Phase.REQUEST,
        )
    )
    assert verdict.decision is Decision.DENY


@pytest.mark.parametrize("exchange", [call(), call(arguments={}), call("x" * 128), call("", action=Action.TOOL_LIST)])
async def test_it_has_nothing_to_say_about_anything_else(exchange: Exchange) -> None:
    assert await told(CatalogStage().judge(exchange, Phase.REQUEST)) is ALLOWED
    assert await told(CatalogStage().judge(exchange, Phase.RESPONSE)) is ALLOWED
