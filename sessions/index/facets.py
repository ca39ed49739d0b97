"""How a search is put: groups of facets, of which a hit must carry at least one each. Pure.

The rarest group is walked along, and what it yields is held against the others. However much there is, a page looks at
a bounded number of candidates and says how far it got.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sessions.index.reading import LONGEST, Facet, Kind

MOST_ALIKE = 40
"""Facets that a piece of text may stand for."""
SHORTEST = 2
"""Characters of a text that is searched for."""


@dataclass(frozen=True, slots=True)
class Known:
    """A facet of the index."""

    id: int
    weight: int
    """How many events, or sessions, carry it."""


Group = Sequence[Known]
"""Facets, of which one suffices. An empty one can be met by nothing."""


def facet(kind: Kind, name: str) -> Facet:
    """A facet as the index names it."""
    return (kind.value, name[:LONGEST].replace("\0", "\ufffd"))


def rarest(groups: Iterable[Group]) -> Group | None:
    """The group to walk along; None where nothing is asked for."""
    return min(groups, key=lambda group: sum(one.weight for one in group), default=None)


def besides(groups: Iterable[Group], along: Group) -> list[Group]:
    """What is still to be asked of whatever `along` yields, the rarest first: it leaves the least for the others."""
    others = [group for group in groups if group is not along]
    return sorted(others, key=lambda group: sum(one.weight for one in group))


def pattern(text: str) -> str:
    """A text as a pattern for `LIKE ... ESCAPE '!'`, in lower case."""
    escaped = text.strip().lower().replace("\0", "\ufffd")
    for character in "!%_":
        escaped = escaped.replace(character, f"!{character}")
    return f"%{escaped}%"
