"""Who may decide about a ticket, and when enough of them have: the charters of the rules that asked.

Pure. Whoever decides is known from a key, a session or the operating system, never from the body of a request; how
decisions are kept, and that no two count twice, is `approvals/store.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from types import MappingProxyType

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.verdict import Charter, Escalation

APPROVE, DENY = "approve", "deny"


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody who decides, as Wicket knows them."""

    name: str
    """How the decision is signed."""
    person: str = ""
    """Who counts once, whatever the number of their keys; empty = nobody who counts where a rule says who decides."""
    user: str = ""
    """The person by name, as keys and rules name people; empty = not known."""
    role: str = ""
    team: str = ""

    def among(self, approvers: Collection[str]) -> bool:
        """Whether this is one of those whom a rule names; of a rule that names none, everybody is."""
        mine = {f"{kind}:{one}" for kind, one in (("role", self.role), ("team", self.team), ("user", self.user)) if one}
        return not approvers or not mine.isdisjoint(approvers)


@dataclass(frozen=True, slots=True)
class Vote:
    """One decision of one person about one ticket."""

    by: Approver
    decision: str
    """`approve` or `deny`."""
    digest: str
    """Digest of the call that was on the screen."""
    reason: str
    at: datetime
    on_behalf: Approver | None = None
    """In whose place, where somebody delegated it."""

    @property
    def people(self) -> frozenset[str]:
        """Everybody whose decision this is: whoever decides for another is both, and neither counts again."""
        return frozenset({self.by.person, self.on_behalf.person} if self.on_behalf else {self.by.person})

    @property
    def signed(self) -> str:
        """How it is signed."""
        return f"{self.by.name} for {self.on_behalf.name}" if self.on_behalf else self.by.name

    def among(self, approvers: Collection[str]) -> bool:
        """Whether it is a decision of one of those whom a rule names."""
        return self.by.among(approvers) or (self.on_behalf is not None and self.on_behalf.among(approvers))


def person_of(user: str, key_id: str) -> str:
    """Who counts once: the person whom a key names, else the key. Letters' case is no other person."""
    return f"user:{folded(user)}" if user else f"key:{key_id}"


def folded(user: str) -> str:
    """A person's name, to be compared."""
    return user.strip().casefold()


def form_of(charters: Collection[Charter]) -> list[Json]:
    """Charters as the form of a call holds them (`approvals.ticket.binding`)."""
    return [_form(one) for one in charters]


def _form(charter: Charter) -> Json:
    told: JsonObject = {**asdict(charter), "approvers": list(charter.approvers)}
    later = charter.escalation
    if later is None:
        del told["escalation"]
    else:
        told["escalation"] = {**asdict(later), "to": list(later.to)}
    return told


def charters_in(form: Mapping[str, Json]) -> tuple[Charter, ...]:
    """The charters of a form; what cannot be read as one is a charter that nobody meets."""
    return tuple(_charter(jsontree.as_object(one)) for one in jsontree.as_list(form.get("charters")))


def _charter(told: Mapping[str, Json]) -> Charter:
    approvers, quorum = jsontree.as_list(told.get("approvers")), told.get("quorum")
    readable = isinstance(quorum, int) and quorum >= 1 and all(isinstance(one, str) for one in approvers)
    if not isinstance(quorum, int) or not readable:
        return _CLOSED
    no_self, later = told.get("no_self_approval") is not False, told.get("escalation")
    escalation = None if later is None else _escalation(jsontree.as_object(later))
    return Charter(tuple(map(str, approvers)), quorum, no_self, escalation)


def _escalation(told: Mapping[str, Json]) -> Escalation | None:
    """Read back; what cannot be read lets nobody else decide."""
    percent, seconds = told.get("percent"), told.get("seconds")
    if not isinstance(percent, int) or not isinstance(seconds, int):
        return None
    to = tuple(jsontree.as_text(one) for one in jsontree.as_list(told.get("to")))
    return Escalation(percent, to, told.get("replace") is True, seconds)


def timed(charters: Collection[Charter], seconds: float) -> tuple[Charter, ...]:
    """Charters as they hold for a ticket that is to be decided within some seconds."""
    return tuple(
        replace(one, escalation=replace(one.escalation, seconds=int(seconds * one.escalation.percent / 100)))
        if one.escalation is not None
        else one
        for one in charters
    )


def who_may(charter: Charter, seconds: float) -> tuple[str, ...]:
    """Whom a charter lets decide some seconds after the question; nobody named = everybody who may decide at all."""
    later = charter.escalation
    if later is None or seconds < later.seconds:
        return charter.approvers
    if later.replace:
        return later.to
    return (*charter.approvers, *later.to) if charter.approvers else ()


def escalated(charters: Collection[Charter], seconds: float) -> list[str]:
    """To whom it was escalated by then, by name as rules name people."""
    due = (one.escalation for one in charters if one.escalation is not None and seconds >= one.escalation.seconds)
    return sorted({name for one in due for name in one.to})


_CLOSED = Charter(("nobody",), 1, no_self_approval=True)


def objection(
    charters: Collection[Charter], by: Approver, owners: Collection[str], decision: str, seconds: float = 0
) -> str:
    """Why somebody may not decide, in words for them; empty if they may.

    Args:
        charters: of the ticket.
        by: who wants to decide.
        owners: everybody whom the caller's key stands for, by name.
        decision: `approve` or `deny`.
        seconds: since the question.
    """
    if not charters:
        return ""
    if not by.person:
        return "the rule says who may decide, and nobody here is known by a key or a login"
    if not any(by.among(who_may(one, seconds)) for one in charters):
        wanted = sorted({approver for one in charters for approver in who_may(one, seconds)})
        return f"the rule wants others to decide: {', '.join(wanted)}"
    return self_approval(charters, by, owners, decision)


def self_approval(charters: Collection[Charter], by: Approver, owners: Collection[str], decision: str) -> str:
    """Why somebody may not decide about a call of their own, or what could be one; empty if they may."""
    if not any(one.no_self_approval for one in charters):
        return ""
    known = {folded(one) for one in owners if one}
    if by.user and folded(by.user) in known:
        return "the call was made for you, and the rule wants somebody else to decide"
    if decision == APPROVE and not by.user:
        return "the rule wants somebody other than the caller's person to approve: use a key that names its user"
    if decision == APPROVE and not known:
        return "the rule wants somebody other than the caller's person to approve, and the caller's key names no user"
    return ""


def standing(charters: Collection[Charter], votes: Collection[Vote], digest: str, asked_at: datetime) -> "Standing":
    """How far a ticket is: how many approvals of this very call count, and how many are wanted.

    Whether somebody might decide goes by the moment at which they did.
    """
    mine = [one for one in votes if one.decision == APPROVE and one.digest == digest]
    counted = [(min(_people(one, mine, asked_at), one.quorum), one.quorum) for one in charters]
    if not counted:
        return Standing(min(len(mine), 1), 1, bool(mine))
    lacking = max(counted, key=lambda pair: pair[1] - pair[0])
    return Standing(*lacking, all(have >= wanted for have, wanted in counted))


def _people(charter: Charter, votes: Collection[Vote], asked_at: datetime) -> int:
    """How many different people whom a charter let decide have voted."""
    counted = [one.people for one in votes if one.among(who_may(charter, (one.at - asked_at).total_seconds()))]
    groups: list[frozenset[str]] = []
    for people in counted:  # decisions that share a person are one
        touching = [one for one in groups if one & people]
        groups = [one for one in groups if not one & people] + [people.union(*touching)]
    return len(groups)


@dataclass(frozen=True, slots=True)
class Standing:
    """Approvals so far."""

    have: int
    wanted: int
    """Of the charter that lacks the most."""
    complete: bool


WORDS: Mapping[str, str] = MappingProxyType({APPROVE: "approved", DENY: "denied"})
"""What somebody did, by what they decided."""


def in_words(charter: Charter) -> str:
    """What a charter asks of those who decide, for people."""
    who = f"of {', '.join(charter.approvers)}" if charter.approvers else "of all who may decide"
    told = f"{charter.quorum} {who}"
    if charter.no_self_approval:
        told += ", not the person whom the caller's key stands for"
    later = charter.escalation
    if later is not None:
        told += f"; after {later.percent} % of the time {'only' if later.replace else 'also'} {', '.join(later.to)}"
    return told
