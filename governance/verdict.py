"""What a check may say: decisions, findings, and the rule by which the strongest wins.

A verdict is data. Acting on it is the guard's business (`pipeline/guard.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """What should happen to an exchange, weakest first."""

    ALLOW = "allow"
    WARN = "warn"
    REDACT = "redact"
    HOLD = "hold"
    DENY = "deny"
    KILL = "kill"

    @property
    def strength(self) -> int:
        """How strong the decision is: a higher number wins over a lower one, whatever the order of the rules."""
        return _STRENGTH[self]


_STRENGTH = {decision: rank for rank, decision in enumerate(Decision)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a detector found. It says where and what kind, and never carries the text that was found."""

    kind: str
    """Dotted kind, for example `pii.ssn`, `secret.github_token`, `injection.direct`, `argument.sql`."""
    rule: str
    """Id of the detector's rule that found it."""
    pointer: str
    """JSON pointer (RFC 6901) of the string inside the body."""
    start: int
    """Offset of the first character inside that string."""
    end: int
    """Offset after the last character."""
    role: str = ""
    """Role of the segment (`governance.exchange.Role`)."""
    action: str = "log"
    """What the configuration asks for this kind: `log`, `redact`, `hold` or `deny`."""
    view: str = "raw"
    """The view in which it was found: `raw`, `folded`, or the name of a decoding."""
    fixed: bool = False
    """Whether it stands in a name, of a member or of what is called, where nothing can be replaced."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to one string of a body. Offsets are characters; an edit with `end == -1` replaces the whole string."""

    pointer: str
    start: int
    end: int
    replacement: str


@dataclass(frozen=True, slots=True)
class Escalation:
    """Of a charter: who else may decide when nobody has for part of the time."""

    percent: int
    """Of the time that there is to decide."""
    to: tuple[str, ...]
    """Approvers, as a charter names them."""
    replace: bool = False
    """Whether from then on only they may."""
    seconds: int = 0
    """When that is, from the question on; known when there is a ticket."""


@dataclass(frozen=True, slots=True)
class Charter:
    """Of a hold: who may decide about it, and how many of them must agree. A charter that says nothing is not made."""

    approvers: tuple[str, ...] = ()
    """`role:...`, `team:...` or `user:...`; any of them may decide. None = everybody who may decide at all."""
    quorum: int = 1
    """How many different people must approve; one who denies is enough."""
    no_self_approval: bool = False
    """Whether the person whom the caller's key stands for may not decide."""
    escalation: Escalation | None = None


class Reach(StrEnum):
    """How much more than the call a person may allow who approves it, least first."""

    ONCE = "once"
    """Nothing: each call is asked about."""
    SESSION = "session"
    """The same call again, in the session that made it."""
    PATTERN = "pattern"
    """The same tool with other arguments too, in other sessions too."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Of a hold: what the rule that holds lets people allow beyond the call (`approvals/grants`)."""

    rule: str
    """Id of the rule."""
    digest: str
    """SHA-256 of the rule as it is written. A rule that was changed is another one."""
    reach: Reach
    seconds: int
    """For how long at most."""
    uses: int
    """For how many further calls at most."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check thinks of one exchange."""

    decision: Decision
    by: str
    """The stage that spoke, for example `policy`."""
    rule: str = ""
    """Id of the rule that decided."""
    reason: str = ""
    """Why, in words for the agent and the auditor. Never contains text of the exchange."""
    findings: tuple[Finding, ...] = ()
    edits: tuple[Edit, ...] = ()
    """For `redact`: what to change."""
    shadow: tuple["Verdict", ...] = ()
    """What rules in shadow mode would have decided."""
    version: str = ""
    """Version of the policy that decided, where there is one."""
    detached: bool = False
    """Of a hold: whether the call may be made, once approved, although its client has gone."""
    labels: tuple[tuple[str, str], ...] = ()
    """Labels that the session gets, each with the id of the rule that says so."""
    charters: tuple[Charter, ...] = ()
    """Of a hold: what every rule that holds asks of those who decide. All of them must be met."""
    also: tuple[str, ...] = ()
    """Of a hold: ids of the other rules that hold as well."""
    leaves: tuple[Leave, ...] = ()
    """Of a hold: one for each rule that holds; none where something holds that is no rule of the policy."""


@dataclass(frozen=True, slots=True)
class Relief:
    """What a person allows beyond the one call that was held because something repeats."""

    more: int = 0
    """How many further times it may."""
    exempt: bool = False
    """Whether the tool may for the rest of the session, however often."""

    @property
    def text(self) -> str:
        """As it is written: `exempt`, the number of further times, or nothing."""
        return "exempt" if self.exempt else str(self.more) if self.more else ""


NO_RELIEF = Relief()
MOST_MORE = 1_000
"""Most further times that can be allowed at once."""


def relief_of(text: str) -> Relief:
    """What `Relief.text` wrote, or a person.

    Raises:
        ValueError: it is none; the message says what would be.
    """
    if not text or text == "exempt":
        return Relief(exempt=True) if text else NO_RELIEF
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_MORE)) and 0 < int(text) <= MOST_MORE):
        raise ValueError(f"give `exempt`, or how many more times: 1 to {MOST_MORE}")
    return Relief(more=int(text))


ALLOWED = Verdict(Decision.ALLOW, by="")
"""What a check says when it has nothing to say."""


def strongest(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that wins: the strongest decision, the first of equals.

    The order in which rules are written therefore never matters between decisions of different strength
    (the semantics of Cedar: a forbid cannot be shadowed by a permit).
    """
    winner = ALLOWED
    for verdict in verdicts:
        if verdict.decision.strength > winner.decision.strength or winner is ALLOWED:
            winner = verdict
    return winner


def charters_of(verdicts: Iterable[Verdict]) -> tuple[Charter, ...]:
    """What all that hold ask of those who decide: each once, in an order that does not hang on that of the rules."""
    asked = {charter for one in verdicts if one.decision is Decision.HOLD for charter in one.charters}
    return tuple(sorted(asked, key=_place))


def _place(charter: Charter) -> tuple[tuple[str, ...], int, bool, int, tuple[str, ...], bool]:
    later = charter.escalation or Escalation(0, ())
    return charter.approvers, charter.quorum, charter.no_self_approval, later.percent, later.to, later.replace


def leaves_of(verdicts: Iterable[Verdict]) -> tuple[Leave, ...]:
    """What every rule that holds lets people allow; nothing where something holds that says nothing of it."""
    holding = [one for one in verdicts if one.decision is Decision.HOLD]
    if not all(one.leaves for one in holding):
        return ()
    return tuple(sorted({leave for one in holding for leave in one.leaves}, key=lambda one: (one.rule, one.digest)))
