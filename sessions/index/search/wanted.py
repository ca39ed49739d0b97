"""Which events to find. Pure: the tables are asked by `store.py`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from governance.audit.event import Tag
from governance.audit.query import Record
from governance.verdict import Decision
from sessions.index.facets import facet
from sessions.index.lists.wanted import FilterError, moment
from sessions.index.reading import COMMON, Facet, Kind


@dataclass(frozen=True, slots=True)
class Sought:
    """A filter. Whatever is left out does not matter; all that is given must hold."""

    kind: str = ""
    """One of `Tag`."""
    session: str = ""
    exchange: str = ""
    principal: str = ""
    """Id of the gateway key, the person it stands for, or the person who decided."""
    tool: str = ""
    model: str = ""
    server: str = ""
    verdict: str = ""
    """One of `Decision`."""
    rule: str = ""
    finding: str = ""
    since: str = ""
    """RFC 3339 in UTC; at or after."""
    until: str = ""
    """RFC 3339 in UTC; before."""
    text: str = ""
    """Part of the name of anything that an event is found by, or a whole id."""

    def __post_init__(self) -> None:
        if self.kind and self.kind not in list(Tag):
            raise FilterError("`kind` is none of the kinds of events")
        if self.verdict and self.verdict not in list(Decision):
            raise FilterError(f"`verdict` is one of {', '.join(Decision)}")

    @property
    def groups(self) -> list[list[Facet]]:
        """What must be carried: of each group one facet. Text is not among them, nor is what every exchange has."""
        exact = (
            (Kind.TOOL, self.tool), (Kind.MODEL, self.model), (Kind.SERVER, self.server), (Kind.RULE, self.rule),
            (Kind.FINDING, self.finding), (Kind.EVENT, "" if self.kind in COMMON else self.kind),
            (Kind.VERDICT, "" if self.allowed else self.verdict),
        )  # fmt: skip
        found = [[facet(kind, name)] for kind, name in exact if name]
        if self.principal:
            found.append([facet(kind, self.principal) for kind in (Kind.KEY, Kind.USER, Kind.ACTOR)])
        return found

    @property
    def allowed(self) -> bool:
        """Whether what was allowed is asked for, which no index holds: it stands everywhere."""
        return self.verdict == Decision.ALLOW

    @property
    def given(self) -> dict[str, str]:
        """What is asked for, as the query of an address."""
        return {name: str(value) for name, value in asdict(self).items() if value}


NAMES = tuple(Sought.__dataclass_fields__)


def sought_of(asked: Mapping[str, str]) -> Sought:
    """The filter of the query of an address; what is none of it is ignored.

    Raises:
        FilterError: a kind, a verdict or a time is none.
    """
    # `tag` and `key` are what these two were once called: addresses that people kept go on working.
    texts = {name: asked.get(name, "").strip() for name in NAMES}
    texts["kind"] = texts["kind"] or asked.get("tag", "")
    texts["principal"] = texts["principal"] or asked.get("key", "")
    for name in ("since", "until"):
        if texts[name]:
            texts[name] = moment(texts[name])
    return Sought(**texts)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of events, newest first."""

    records: tuple[Record, ...]
    next: int | None = None
    """The next page has the events before this place; None at the end."""
    looked_back_to: int | None = None
    """Set where the search was broken off because it had looked at enough: the last place that was looked at."""
