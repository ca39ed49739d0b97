"""How an exchange is written down: the fields of its audit events.

Pure. No text of an exchange gets in unless the configuration asks for it, and then only masked.
"""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from governance import jsontree
from governance.audit.event import Draft, Tag, Value
from governance.exchange import Action, Body, Exchange, Phase
from governance.stage import Outcome
from governance.verdict import Decision, Edit, Finding, Verdict

MASKED_CHARACTERS = 16_384
WITHHELD = "[withheld: something was found in a name]"
"""Stands for a text in which a name cannot be blotted out."""
_OF_CALL = "call."
"""How kinds begin that say nothing of data: `proposed` holds the same."""
_ACTION_STRENGTH = ("log", "redact", "hold", "deny")


class Leaving(Protocol):
    """What is recorded of a grant (`approvals.grants.grant.Grant`)."""

    @property
    def id(self) -> str: ...  # noqa: D102 - the names say it
    @property
    def ticket(self) -> str: ...  # noqa: D102
    @property
    def given_by(self) -> str: ...  # noqa: D102


def decision(
    tag: Tag,
    exchange: Exchange,
    verdict: Verdict,
    *,
    warnings: Sequence[Verdict] = (),
    ticket: str = "",
    grant: Leaving | None = None,
    utilization: int | None = None,
    content: Body | None = None,
) -> Draft:
    """The event of a judged request.

    Args:
        tag: what became of it.
        exchange: as it was judged.
        verdict: what decided.
        warnings: what the agent is told besides.
        ticket: id of the approval, where there is one.
        grant: what a person had granted before, where that let the call go.
        utilization: percent of the fullest budget, where there is one.
        content: the request as it was when detectors looked at it, where its masked text is to be kept.
    """
    fields = _identity(exchange) | _verdict(verdict) | _findings(exchange.findings)
    fields["content_digest"] = hashlib.sha256(exchange.request.raw).hexdigest()
    if exchange.action is Action.TOOL_CALL:
        fields["arguments_digest"] = jsontree.digest(exchange.arguments)
    if warnings:
        fields["warnings"] = [f"{one.rule or one.by}: {one.reason}" for one in warnings]
    if verdict.shadow:
        fields["shadow"] = [f"{one.rule}: {one.decision.value}" for one in verdict.shadow]
    if ticket:
        fields["approval_id"] = ticket
    if grant is not None:
        fields |= {"approval_id": grant.ticket, "grant_id": grant.id, "granted_by": grant.given_by}
    if utilization is not None:
        fields["budget_utilization_pct"] = utilization
    if content is not None:
        fields["content"] = masked_text(content, exchange.findings)
    return Draft(tag, fields)


def completion(exchange: Exchange, verdict: Verdict, outcome: Outcome, *, milliseconds: int) -> Draft:
    """The event of how an exchange ended."""
    fields = _identity(exchange) | _verdict(verdict) | _findings(exchange.findings)
    fields |= {
        "status": outcome.status,
        "input_tokens": outcome.input_tokens,
        "output_tokens": outcome.output_tokens,
        "cache_read_tokens": outcome.cache_read_tokens,
        "cache_write_tokens": outcome.cache_write_tokens,
        "cost_usd": outcome.cost_usd or None,
        "estimated": outcome.estimated,
        "upstream_status": outcome.upstream_status,
        "duration_ms": milliseconds,
    }
    if outcome.model:
        fields["model"] = outcome.model
    if outcome.error:
        fields["error"] = outcome.error
    if verdict.shadow:
        fields["shadow"] = [f"{one.rule}: {one.decision.value}" for one in verdict.shadow]
    if exchange.response is not None:
        fields["response_digest"] = hashlib.sha256(exchange.response.raw).hexdigest()
    withheld = verdict.decision in (Decision.DENY, Decision.KILL, Decision.HOLD)
    return Draft(Tag.EXCHANGE_WITHHELD if withheld else Tag.EXCHANGE_COMPLETED, fields)


def message(tag: Tag, exchange: Exchange, verdict: Verdict, phase: Phase) -> Draft:
    """The event of a message in which something was found, or that was withheld.

    Args:
        tag: what became of it.
        exchange: holds the message as request or response, by the phase, and what was found in it.
        verdict: what decided.
        phase: `request` for what goes to a server, `response` for what comes from one, unless the fact `direction`
            says otherwise: an answer of a client is a response too.
    """
    body = exchange.request if phase is Phase.REQUEST else exchange.response
    fields = _identity(exchange) | _verdict(verdict) | _findings(exchange.findings)
    usual = "to_server" if phase is Phase.REQUEST else "to_client"
    fields["direction"] = jsontree.as_text(exchange.facts.get("direction")) or usual
    if body is not None:
        fields["content_digest"] = hashlib.sha256(body.raw).hexdigest()
    if verdict.shadow:
        fields["shadow"] = [f"{one.rule}: {one.decision.value}" for one in verdict.shadow]
    return Draft(tag, fields)


def masked_text(body: Body, findings: Sequence[Finding]) -> str:
    """The text of a body with everything that was found in it blotted out, cut to a bounded length.

    Args:
        body: the very body in which was found what was found: findings are offsets into it.
        findings: all of them.
    """
    if any(one.fixed for one in findings):
        return WITHHELD
    edits = [Edit(one.pointer, one.start, one.end, f"[{one.kind}]") for one in findings if one.start < one.end]
    shown = body.edited(edits) if edits else body
    return jsontree.dump(shown.value).decode()[:MASKED_CHARACTERS]


def _identity(exchange: Exchange) -> dict[str, Value]:
    principal, resource, session, facts = exchange.principal, exchange.resource, exchange.session, exchange.facts
    fields: dict[str, Value] = {
        "exchange_id": exchange.id,
        "action": exchange.action.value,
        "tenant_id": principal.tenant,
        "key_id": principal.key_id,
        "session_id": session.id,
        "session_evidence": session.evidence,
        "session_verified": session.verified,
    }
    optional: tuple[tuple[str, str], ...] = (
        ("team", principal.team),
        ("agent", principal.agent),
        ("user", principal.user),
        ("provider", resource.provider),
        ("model", resource.model),
        ("server", resource.server),
        ("tool", _subject(exchange)),
        ("definition", resource.definition),
        ("plane", jsontree.as_text(facts.get("plane"))),
        ("transport", jsontree.as_text(facts.get("transport"))),
        ("client", jsontree.as_text(facts.get("client"))),
        ("trace_id", jsontree.as_text(facts.get("trace_id"))),
        ("session_source", session.source),
        ("session_parent", session.parent),
        ("subagent", session.subagent),
        ("subagent_of", session.subagent_of),
        ("caused_by", jsontree.as_text(facts.get("caused_by"))),
    )
    fields.update((name, text) for name, text in optional if text)
    if session.proposed and exchange.action is Action.TOOL_CALL:
        fields["proposed"] = session.proposed.value
        if session.proposed_by:
            fields["proposed_by"] = session.proposed_by
    if session.conflicts:
        fields["session_conflicts"] = list(session.conflicts)
    return fields


def _subject(exchange: Exchange) -> str:
    """The name of what is called, unless something was found in it that must not be repeated."""
    name = exchange.resource.name
    for one in exchange.findings:
        if one.fixed and one.action != "log" and jsontree.at(exchange.request.value, one.pointer) == name:
            return f"[{one.kind}]"
    return name


def _verdict(verdict: Verdict) -> dict[str, Value]:
    fields: dict[str, Value] = {"policy_decision": verdict.decision.value}
    if verdict.by:
        fields["decided_by"] = verdict.by
    if verdict.rule:
        fields["rule"] = verdict.rule
    if verdict.reason:
        fields["reason"] = verdict.reason
    if verdict.version:
        fields["policy_version"] = verdict.version
    return fields


def _findings(findings: Sequence[Finding]) -> dict[str, Value]:
    kinds = sorted({one.kind for one in findings if not one.kind.startswith(_OF_CALL)})
    if not kinds:
        return {}
    personal = [one for one in findings if one.kind.startswith(("pii.", "phi."))]
    fields: dict[str, Value] = {"classification": kinds}
    if personal:
        fields["pii_entities"] = sorted({one.kind for one in personal})
        fields["pii_action"] = max((one.action for one in personal), key=_ACTION_STRENGTH.index)
    return fields
