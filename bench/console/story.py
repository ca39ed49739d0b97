"""What happened in an invented installation: a seeded month of agents at work. Pure; nothing is written here.

The same seed tells the same story. Only its shape is meant to be real: few agents and many sessions, most of them short
and one of ten thousand events; several tenants, models and tools; verdicts, findings, labels, approvals and kills.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from governance.audit.event import Tag, Value

DAYS = 30
_AGENTS = ("claude-code", "codex", "opencode", "gemini-cli", "triage", "reporter", "etl", "support-bot")
_TENANTS = ("acme", "acme", "acme", "globex", "initech", "umbrella", "hooli", "default")
_MODELS = ("claude-sonnet-5", "claude-haiku-5", "gpt-6", "gpt-6-mini", "gemini-4-pro", "qwen-4-coder")
_SERVERS = ("files", "github", "postgres", "web", "mail", "jira", "slack", "calendar")
_VERBS = ("read", "list", "search", "write", "create", "delete", "update", "get", "run", "send")
_FINDINGS = ("pii.email", "pii.phone", "secret.aws_key", "injection.instruction", "pii.card", "secret.token")
_RULES = ("no-deletes", "mail-needs-a-person", "prod-database", "after-untrusted-content", "night-shift", "spend")
_KEYS = 60
_MICRO = 1_000_000
LARGE = 5_000
"""Exchanges of the longest session."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session of the story."""

    number: int
    id: str
    key: str
    tenant: str
    agent: str
    user: str
    began: int
    """Microseconds after the story's begin."""
    exchanges: int
    step: int
    """Microseconds from one exchange to the next."""
    parent: str


@dataclass(frozen=True, slots=True)
class Story:
    """A whole story."""

    sessions: int
    events: int
    """About how many."""
    end: datetime

    @property
    def start(self) -> datetime:
        """When it begins."""
        return self.end - timedelta(days=DAYS)

    @lru_cache(maxsize=200_000)  # noqa: B019 - a story lives as long as the program
    def session(self, number: int) -> Session:
        """One of its sessions."""
        dice = _dice(number, 0)
        agent = dice % len(_AGENTS)
        key = dice // 8 % _KEYS
        span = DAYS * 86_400 * _MICRO
        # Newer days are busier, and the last hours have sessions that still go on.
        began = span - int(span * (dice // 1_024 % 10_000 / 10_000) ** 1.5) - 5 * _MICRO
        exchanges, step = self._length(number), (1 + dice // 65_536 % 30) * _MICRO
        if number == 0:
            began, step = span - 3 * 3_600 * _MICRO, 2 * _MICRO
        exchanges = max(1, min(exchanges, (span - began) // (step + 4)))
        return Session(
            number=number,
            id=_session_id(number),
            key=f"key_{key:02}",
            tenant=_TENANTS[key % len(_TENANTS)],
            agent=_AGENTS[agent],
            user=f"user{key % 25}",
            began=began,
            exchanges=exchanges,
            step=step,
            parent=_session_id(number - number % 50) if number % 50 in (7, 8, 9) else "",
        )

    def _length(self, number: int) -> int:
        """Half of the sessions are short; a few hold most of the events."""
        if number == 0:
            return min(LARGE, max(4, self.events // 4))
        mean = self.events / self.sessions / 1.88
        dice = _dice(number, 1) % 100
        share = 0.3 if dice < 50 else 0.8 if dice < 80 else 2.0 if dice < 97 else 6.9
        return max(1, round(mean * share))

    def at(self, microseconds: int) -> str:
        """A moment of the story, as the log has it."""
        moment = self.start.astimezone(UTC) + timedelta(microseconds=microseconds)
        return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def moments(story: Story) -> Iterator[tuple[int, int, int, int]]:
    """Everything that happens: when, in which session, its exchange, and the part of that. Not in order."""
    for number in range(story.sessions):
        session = story.session(number)
        for exchange in range(session.exchanges):
            at = session.began + exchange * session.step
            for part in range(parts_of(number, exchange)):
                yield at + part * 400_000, number, exchange, part


def parts_of(session: int, exchange: int) -> int:
    """How many events an exchange has."""
    decided = decision(session, exchange)
    return 1 if decided in ("deny", "kill") else 4 if decided == "hold" else 2


def decision(session: int, exchange: int) -> str:
    """What was decided about an exchange."""
    dice = _dice(session, exchange + 2) % 1_000
    bounds = ((930, "allow"), (950, "warn"), (965, "redact"), (980, "hold"), (997, "deny"), (1_000, "kill"))
    return next(name for bound, name in bounds if dice < bound)


def told(session: Session, exchange: int, part: int, at: str) -> dict[str, Value]:
    """The fields of one event."""
    dice = _dice(session.number, exchange + 2) // 1_000
    decided = decision(session.number, exchange)
    model_call = dice % 100 < 35 and decided != "hold"
    fields: dict[str, Value] = {
        "at": at,
        "writer": "gateway" if model_call else "mcp",
        "exchange_id": f"exc_{session.number:06x}{exchange:06x}",
        "action": "llm.generate" if model_call else "tool.call",
        "tenant_id": session.tenant,
        "key_id": session.key,
        "agent": session.agent,
        "user": session.user,
        "session_id": session.id,
        "session_evidence": "agent_header",
        "session_source": f"x-claude-code-session-id=run-{session.number}",
        "session_verified": session.number % 3 > 0,
        "plane": "llm" if model_call else "mcp",
    }
    if model_call:
        fields |= {"model": _MODELS[(session.number + dice // 100 % 2) % len(_MODELS)], "provider": "anthropic"}
    else:
        server = (session.number + dice // 100) % len(_SERVERS)
        fields |= {"server": _SERVERS[server], "tool": f"{_VERBS[dice // 1_000 % len(_VERBS)]}_{_SERVERS[server]}"}
    if session.parent:
        fields["session_parent"] = session.parent
    return fields | _part(decided, part, dice, model_call=model_call, ticket=ticket_id(session.number, exchange))


def _part(decided: str, part: int, dice: int, *, model_call: bool, ticket: str) -> dict[str, Value]:
    rule = _RULES[dice // 7 % len(_RULES)]
    verdict: dict[str, Value] = {"policy_decision": decided}
    if decided != "allow":
        verdict |= {"rule": rule, "reason": f"{rule.replace('-', ' ')}: a rule of the policy says so"}
    if decided in ("deny", "kill"):
        return {"event_type": Tag.EXCHANGE_REFUSED.value, **verdict, "content_digest": _digest(dice)}
    if decided == "hold":
        answer = (Tag.APPROVAL_DENIED, Tag.APPROVAL_EXPIRED, *[Tag.APPROVAL_GRANTED] * 4)[dice % 6]
        asked: dict[str, Value] = {"approval_id": ticket, "rule": rule}
        if part == 0:
            return {"event_type": Tag.APPROVAL_REQUESTED.value, **asked}
        if part == 1:
            person = {} if answer is Tag.APPROVAL_EXPIRED else {"actor": f"approver{dice % 9}"}
            return {"event_type": answer.value, **asked, **person, "state": answer.value.partition(".")[2]}
        if part == 2 and answer is not Tag.APPROVAL_GRANTED:
            return {"event_type": Tag.EXCHANGE_REFUSED.value, **verdict, "approval_id": ticket}
        part -= 2
    if part == 0:
        return {"event_type": Tag.EXCHANGE_ADMITTED.value, **verdict, "content_digest": _digest(dice)}
    found: dict[str, Value] = {"classification": [_FINDINGS[dice // 11 % len(_FINDINGS)]]} if dice % 40 == 0 else {}
    spent: dict[str, Value] = (
        {"input_tokens": 200 + dice % 9_000, "output_tokens": 20 + dice % 700, "cost_usd": f"0.0{dice % 900 + 100}"}
        if model_call
        else {}
    )
    labels: dict[str, Value] = {"labels_set": ["untrusted_content: server:web"]} if dice % 61 == 0 else {}
    return {
        "event_type": Tag.EXCHANGE_COMPLETED.value, **verdict, **found, **spent, **labels,
        "status": "error" if dice % 90 == 0 else "ok", "duration_ms": 3 + dice % 2_500,
        "response_digest": _digest(dice),
    }  # fmt: skip


def ticket_id(session: int, exchange: int) -> str:
    """The id of a ticket."""
    return f"tkt_{session:06x}{exchange:06x}"


def _session_id(number: int) -> str:
    return "ses_" + hashlib.sha256(f"session {number}".encode()).hexdigest()[:24]


def _digest(dice: int) -> str:
    return f"{dice * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4


def _dice(one: int, other: int) -> int:
    """The same large number for the same two. A mixer of bits (splitmix64): hashes would take too long."""
    mixed = (one * 0x9E3779B97F4A7C15 + other * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return mixed ^ (mixed >> 31)
