"""An exchange as it was judged once, from what is kept of it: its audit event, and the judgement beside it.

What a draft would say of it is `replay.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from governance import jsontree
from governance.audit import query
from governance.audit.event import Tag, Value
from governance.audit.query import Wanted
from governance.exchange import Exchange, Phase
from governance.history.ledger import Judgement
from governance.history.scene import from_event, nameless, read, withheld_name
from governance.history.store import SqlShelf
from governance.policy.condition import Around
from governance.policy.partial import Gaps
from governance.store import Store
from governance.verdict import Decision

DECIDED = (Tag.EXCHANGE_ADMITTED, Tag.EXCHANGE_REFUSED)
"""The events that tell how a request was judged."""
_BEFORE_RULES = frozenset(("kill", "identity", "catalog", "pins", "detect", "guard", "audit"))
"""Checks that are asked before the policy: where one of them refused, no rule was asked."""

Kept: TypeAlias = Mapping[tuple[str, str], Judgement]
"""Judgements by exchange and phase."""


@dataclass(frozen=True, slots=True)
class Half:
    """One half of an exchange, as it was judged once."""

    exchange_id: str
    phase: Phase
    session_id: str
    tenant: str
    at: str
    exchange: Exchange | None
    """What the rules saw, as far as it was kept; `None` where no rule can be asked."""
    around: Callable[[], Around]
    gaps: Gaps
    decision: Decision | None
    """What the policy decided then; `None` where that is not recorded."""
    rule: str
    version: str
    """Of that policy; empty where it is not recorded."""
    kept: bool
    """Whether there is more of it than its event."""
    unasked: bool = False
    """No rule was asked: another check had refused before."""
    why: str = ""
    """Why there is no decision or no exchange."""


def request_of(fields: Mapping[str, Value], kept: Kept) -> Half:
    """How a request was judged, by the fields of its `exchange.admitted` or `exchange.refused`."""
    exchange_id = str(fields.get("exchange_id", ""))
    judgement = kept.get((exchange_id, Phase.REQUEST.value))
    if judgement is not None:
        return _of_judgement(judgement, None, fields)
    said, by = Decision(str(fields.get("policy_decision", "allow"))), str(fields.get("decided_by", ""))
    decision: Decision | None = said
    why = ""
    unasked = by in _BEFORE_RULES and said.strength >= Decision.DENY.strength
    if unasked:
        decision, why = None, f"the check `{by}` had refused before any rule was asked"
    elif by not in ("", "policy"):
        decision, why = None, f"the check `{by}` decided, and what the rules had said was not kept (`replay.keep`)"
    exchange, around, gaps = from_event(fields)
    if withheld_name(fields):
        why = "the name of what was called was not kept: something was found in it"
    return Half(
        exchange_id,
        Phase.REQUEST,
        str(fields.get("session_id", "")),
        str(fields.get("tenant_id", "")),
        str(fields.get("at", "")),
        None if withheld_name(fields) else exchange,
        around,
        gaps,
        decision,
        str(fields.get("rule", "")) if decision is not None else "",
        str(fields.get("policy_version", "")),
        kept=False,
        unasked=unasked,
        why=why,
    )


def response_of(fields: Mapping[str, Value], kept: Kept) -> Half | None:
    """How the response was judged; `None` where nothing is kept of that: events do not tell enough of it."""
    exchange_id = str(fields.get("exchange_id", ""))
    judgement = kept.get((exchange_id, Phase.RESPONSE.value))
    return None if judgement is None else _of_judgement(judgement, kept.get((exchange_id, "request")), fields)


def _of_judgement(judgement: Judgement, request: Judgement | None, fields: Mapping[str, Value]) -> Half:
    scene, phase = _scene(judgement), Phase(judgement.phase)
    exchange, around, gaps = read(judgement.exchange_id, phase, scene, _scene(request) if request else None)
    hidden = nameless(scene)
    return Half(
        judgement.exchange_id,
        phase,
        exchange.session.id,
        exchange.principal.tenant,
        str(fields.get("at", judgement.at)),
        None if hidden else exchange,
        around,
        gaps,
        Decision(judgement.decision),
        judgement.rule,
        judgement.version,
        kept=True,
        why="the name of what was called was not kept: something was found in it" if hidden else "",
    )


def _scene(judgement: Judgement) -> jsontree.JsonObject:
    return jsontree.as_object(orjson.loads(judgement.scene))  # written by ourselves, so without the checks of `parse`


async def recall(store: Store, exchange_id: str) -> list[Half]:
    """The halves of one exchange that were judged; empty if there is no such exchange.

    Raises:
        StoreError: the database cannot be read.
    """
    tags = tuple(tag.value for tag in DECIDED)
    found = await query.find(store, Wanted(event_types=tags, exchange_id=exchange_id, limit=1))
    if not found:
        return []
    kept = await SqlShelf(store).judgements([exchange_id])
    fields = found[0].fields
    response = response_of(fields, kept)
    return [request_of(fields, kept), *([response] if response is not None else [])]
