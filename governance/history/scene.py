"""What the rules saw of an exchange, as it is kept: masked before it is stored, and honest about what is missing.

Pure. `written` makes the JSON that is kept, `read` makes an exchange of it again, with its gaps. When it is written and
deleted is `ledger.py`; what is made of it is `replay.py`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from governance import jsontree
from governance.audit.event import Value
from governance.clock import rfc3339
from governance.exchange import Action, Body, Exchange, Phase, Principal, Proposed, Resource, SessionRef
from governance.jsontree import Json, JsonObject
from governance.policy.condition import Around
from governance.policy.partial import Gaps
from governance.verdict import Finding, Verdict

MASKED = "[masked]"
"""Stands for an argument that is not kept."""
LONGEST = 1_024
"""Longest text of an argument that is kept, in characters."""
LARGEST = 16_384
"""Most bytes of all arguments together."""
_LONGEST_FACT = 100

_ARGUMENTS = "/params/arguments"
_WHOLE = frozenset((Action.TOOL_CALL, Action.RESOURCE_READ, Action.PROMPT_GET))
"""Of what all arguments are kept. Of anything else, such as a model call, only numbers and truths at the top."""
_SECRET = re.compile(
    r"(pass(word|wd|phrase|code)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|cookie|"
    r"credential|bearer|pin|otp|cvv)s?$",
    re.IGNORECASE,
)
"""Names of members whose value is never kept, found or not: no detector knows every password."""


def written(
    exchange: Exchange, phase: Phase, verdict: Verdict, around: Around, *, arguments: bool
) -> JsonObject:  # fmt: skip
    """What is kept of one judgement.

    Args:
        exchange: as it was judged.
        phase: which half of it.
        verdict: what the policy said; what it redacts is not kept.
        around: what conditions could ask besides.
        arguments: whether masked arguments are kept too.
    """
    principal, resource, session = exchange.principal, exchange.resource, exchange.session
    hidden = any(one.fixed for one in exchange.findings)
    facts = {name: value for name, value in exchange.facts.items() if _plain(value)}
    labels: list[Json] = [*sorted(around.labels)]
    scene: JsonObject = {
        "at": rfc3339(exchange.at),
        "now": rfc3339(around.now),
        "calls": around.calls,
        "labels": labels,
        "action": exchange.action.value,
        "principal": {
            "key_id": principal.key_id,
            "tenant": principal.tenant,
            "team": principal.team,
            "agent": principal.agent,
            "user": principal.user,
            "provenance": dict(principal.provenance),
        },
        "resource": {
            "server": resource.server,
            "provider": resource.provider,
            "model": resource.model,
            "definition": resource.definition,
            "annotations": dict(resource.annotations),
            **({} if hidden else {"name": resource.name}),
        },
        "session": {
            "id": session.id,
            "evidence": session.evidence,
            "rank": session.rank,
            "verified": session.verified,
            "proposed": session.proposed.value if session.proposed else None,
        },
        "findings": [
            [one.kind, one.rule, "" if hidden else one.pointer, one.role, one.action] for one in exchange.findings
        ],
        "hidden": hidden,
        "facts": facts,
        "more_facts": len(facts) < len(exchange.facts),
    }
    if arguments and phase is Phase.REQUEST:
        scene |= _arguments(exchange, verdict, hidden=hidden)
    return scene


def _plain(value: Json) -> bool:
    return value is None or isinstance(value, (bool, int)) or (isinstance(value, str) and len(value) <= _LONGEST_FACT)


def _arguments(exchange: Exchange, verdict: Verdict, *, hidden: bool) -> JsonObject:
    if hidden:
        return {"no_args": "its arguments were not kept: something was found in a name"}
    if not isinstance(exchange.arguments, dict):
        return {"no_args": "its arguments were not kept: they are no object"}
    base = _ARGUMENTS if exchange.action is Action.TOOL_CALL else ""
    found = {one.pointer.removeprefix(base) for one in exchange.findings if one.action != "redact"}
    edited = {one.pointer.removeprefix(base) for one in verdict.edits}
    masked: list[str] = []
    value = _masked(exchange.arguments, "", found | edited, masked, whole=exchange.action in _WHOLE)
    if len(jsontree.dump(value)) > LARGEST:
        return {"no_args": "its arguments were not kept: they are too large"}
    return {"args": value, "masked": list(masked)}


def _masked(value: Json, pointer: str, hide: Iterable[str], masked: list[str], *, whole: bool, name: str = "") -> Json:
    """The value with what must not be kept blotted out; notes in `masked` where that was."""
    if pointer in hide or (not isinstance(value, (int, float, type(None))) and _SECRET.search(name)):
        masked.append(pointer)
        return MASKED
    if isinstance(value, str):
        if whole and len(value) <= LONGEST:
            return value
        masked.append(pointer)
        return MASKED
    if isinstance(value, dict) and (whole or not pointer):
        return {
            key: _masked(one, f"{pointer}/{jsontree.escape(key)}", hide, masked, whole=whole, name=key)
            for key, one in value.items()
        }
    if isinstance(value, list) and whole:
        return [_masked(one, f"{pointer}/{index}", hide, masked, whole=whole) for index, one in enumerate(value)]
    if isinstance(value, (dict, list)):
        masked.append(pointer)
        return MASKED
    return value


def read(exchange_id: str, phase: Phase, scene: JsonObject, request: JsonObject | None = None) -> tuple[
    Exchange, Callable[[], Around], Gaps
]:  # fmt: skip
    """The exchange that was kept, what surrounded it, and what is missing.

    Args:
        exchange_id: its id.
        phase: which half was judged.
        scene: what was kept of that half.
        request: what was kept of the request, where the response was judged: it holds the arguments.
    """
    principal, resource = jsontree.as_object(scene.get("principal")), jsontree.as_object(scene.get("resource"))
    action = Action(jsontree.as_text(scene.get("action")))
    kept = scene if phase is Phase.REQUEST else request or {}
    arguments = kept.get("args", {})
    value: Json = {"params": {"arguments": arguments}} if action is Action.TOOL_CALL else arguments
    now = datetime.fromisoformat(jsontree.as_text(scene.get("now")))
    around = Around(now, _whole(scene.get("calls")), frozenset(map(str, jsontree.as_list(scene.get("labels")))))
    exchange = Exchange(
        id=exchange_id,
        at=datetime.fromisoformat(jsontree.as_text(scene.get("at"))),
        action=action,
        principal=replace(_principal(principal), provenance=_texts(principal.get("provenance"))),
        resource=Resource(
            server=jsontree.as_text(resource.get("server")),
            name=jsontree.as_text(resource.get("name")),
            provider=jsontree.as_text(resource.get("provider")),
            model=jsontree.as_text(resource.get("model")),
            definition=jsontree.as_text(resource.get("definition")),
            annotations=jsontree.as_object(resource.get("annotations")),
        ),
        session=_session(jsontree.as_object(scene.get("session"))),
        request=Body(value),
        response=Body(None) if phase is Phase.RESPONSE else None,
        findings=tuple(map(_finding, jsontree.as_list(scene.get("findings")))),
        facts=jsontree.as_object(scene.get("facts")),
    )
    masked = tuple(map(str, jsontree.as_list(kept.get("masked"))))
    return exchange, lambda: around, Gaps(_unknown(scene, kept, phase), masked)


def _unknown(scene: JsonObject, kept: JsonObject, phase: Phase) -> Mapping[str, str]:
    unknown: dict[str, str] = {}
    if "args" not in kept:
        unknown["args"] = jsontree.as_text(kept.get("no_args")) or "its arguments were not kept (`replay.keep`)"
    if phase is Phase.RESPONSE:
        unknown["result"] = "results are never kept"
    if scene.get("hidden"):
        unknown["findings"] = "where things were found was not kept: something was found in a name"
    if scene.get("more_facts"):
        unknown["exchange.facts"] = "not all its facts were kept"
    return unknown


def nameless(scene: JsonObject) -> bool:
    """Whether the name of what was called was not kept, so that no rule can be asked."""
    return "name" not in jsontree.as_object(scene.get("resource"))


def _principal(value: Mapping[str, Json]) -> Principal:
    return Principal(
        jsontree.as_text(value.get("key_id")),
        tenant=jsontree.as_text(value.get("tenant")),
        team=jsontree.as_text(value.get("team")),
        agent=jsontree.as_text(value.get("agent")),
        user=jsontree.as_text(value.get("user")),
    )


def _session(value: JsonObject) -> SessionRef:
    proposed = jsontree.as_text(value.get("proposed"))
    return SessionRef(
        jsontree.as_text(value.get("id")),
        jsontree.as_text(value.get("evidence")),
        _whole(value.get("rank")),
        verified=value.get("verified") is True,
        proposed=Proposed(proposed) if proposed else None,
    )


def _finding(value: Json) -> Finding:
    kind, rule, pointer, role, action = map(str, jsontree.as_list(value))
    return Finding(kind, rule, pointer, 0, 0, role, action)


def _texts(value: Json) -> Mapping[str, str]:
    return {name: str(one) for name, one in jsontree.as_object(value).items()}


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0


def from_event(fields: Mapping[str, Value]) -> tuple[Exchange, Callable[[], Around], Gaps]:
    """The request as far as its audit event alone tells, where nothing else was kept of it."""
    text = {name: value for name, value in fields.items() if isinstance(value, str)}
    exchange_id, proposed = text.get("exchange_id", ""), text.get("proposed", "")
    at = _arrival(exchange_id, text.get("at", ""))
    kinds = _kinds(fields)
    kinds += [_OF_PROPOSED[proposed]] if proposed in _OF_PROPOSED else []
    exchange = Exchange(
        id=exchange_id,
        at=at,
        action=Action(text.get("action", "")),
        principal=replace(_principal(dict(text)), tenant=text.get("tenant_id", "")),
        resource=Resource(
            server=text.get("server", ""),
            name=text.get("tool", ""),
            provider=text.get("provider", ""),
            model=text.get("model", ""),
            definition=text.get("definition", ""),
        ),
        session=SessionRef(
            text.get("session_id", ""),
            text.get("session_evidence", ""),
            verified=fields.get("session_verified") is True,
            proposed=Proposed(proposed) if proposed else None,
        ),
        request=Body({}),
        findings=tuple(Finding(kind, kind, "", 0, 0) for kind in kinds),
        facts={name: text[name] for name in ("plane", "transport", "client") if name in text},
    )
    return exchange, lambda: Around(at, 0), _OF_EVENT


def withheld_name(fields: Mapping[str, Value]) -> bool:
    """Whether an audit event does not name what was called, because something was found in the name."""
    return fields.get("tool") in {f"[{kind}]" for kind in _kinds(fields)}


def _kinds(fields: Mapping[str, Value]) -> list[str]:
    kinds = fields.get("classification")
    return list(kinds) if isinstance(kinds, list) else []


_OF_PROPOSED = {"none": "call.unproposed", "altered": "call.altered"}
_OF_EVENT = Gaps(
    {
        "args": "its arguments were not kept (`replay.keep`)",
        "session.labels": "the labels of its session were not kept (`replay.keep`)",
        "session.calls": "the calls of its session were not counted (`replay.keep`)",
        "session.rank": "the rank of its evidence was not kept (`replay.keep`)",
        "tool.annotations": "the annotations of its tool were not kept (`replay.keep`)",
        "principal.provenance": "how its principal is known was not kept (`replay.keep`)",
        "findings": "where things were found was not kept (`replay.keep`)",
        "exchange.facts": "not all its facts were kept (`replay.keep`)",
    }
)


def _arrival(exchange_id: str, written_at: str) -> datetime:
    """When an exchange came: its id begins with the millisecond. An event of a held call is written much later."""
    written = datetime.fromisoformat(written_at)
    try:
        return datetime.fromtimestamp(int(exchange_id[4:15], 16) / 1000, written.tzinfo)
    except (ValueError, OSError, OverflowError):
        return written
