"""What the servers behind the aggregate listed, for one owner: which name or URI belongs to which server.

It only remembers. A server must not be able to fill the memory, so what goes beyond `MOST` of a kind is not remembered
and has to be reached by the server's own endpoint.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence, Sized

from mcp_proxy.aggregate import exposed, matches, origin

MOST = 10_000
"""Entries of one kind that are remembered of one server."""
MOST_LINKED = 1_000
MOST_CHARACTERS = 2_048
"""Of a name or URI that is remembered."""
MOST_OWNERS = 1_000


class Book:
    """The entries of every server, as one owner saw them listed."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        self._uris: dict[str, dict[str, None]] = defaultdict(dict)
        self._templates: dict[str, dict[str, None]] = defaultdict(dict)
        self._linked: OrderedDict[str, str] = OrderedDict()
        self.listed: set[tuple[str, str]] = set()
        """The servers whose whole list of a kind was read: `(method, server)`."""

    def learn_names(self, kind: str, server: str, names: Iterable[str]) -> None:
        """A server listed tools or prompts. Only names that had to be shortened need remembering."""
        known = self._names[kind, server]
        for name in names:
            shown = exposed(server, name)
            if origin(shown) is None and _fits(name, known):
                known.setdefault(shown, name)

    def find(self, kind: str, shown: str, servers: Sequence[str]) -> tuple[str, str] | None:
        """The server and the real name behind a shortened one; None if nobody, or more than one, could be meant."""
        found = [(one, self._names[kind, one][shown]) for one in servers if shown in self._names[kind, one]]
        return found[0] if len(found) == 1 else None

    def learn_uri(self, server: str, uri: str) -> None:
        """A server listed a resource."""
        if _fits(uri, self._uris[server]):
            self._uris[server][uri] = None

    def learn_template(self, server: str, template: str) -> None:
        """A server listed a template."""
        if _fits(template, self._templates[server]):
            self._templates[server][template] = None

    def learn_link(self, server: str, uri: str) -> None:
        """A server named a resource without listing it. That never outweighs what a server listed."""
        if len(uri) <= MOST_CHARACTERS:
            self._linked.setdefault(uri, server)
        if len(self._linked) > MOST_LINKED:
            self._linked.popitem(last=False)

    def home(self, uri: str, servers: Sequence[str]) -> str | None:
        """The server that a URI or template is asked of: the first, in this order, that listed it.

        Then the first of whose templates one fits, then the one that linked to it first.
        """
        for one in servers:
            if uri in self._uris[one] or uri in self._templates[one]:
                return one
        for one in servers:
            if any(matches(template, uri) for template in self._templates[one]):
                return one
        linked = self._linked.get(uri)
        return linked if linked in servers else None

    def is_shadowed(self, uri: str, server: str, servers: Sequence[str]) -> bool:
        """Whether another server, which comes first, listed the same URI or template."""
        for one in servers:
            if one == server:
                return False
            if uri in self._uris[one] or uri in self._templates[one]:
                return True
        return False

    def forget_lists(self, server: str) -> None:
        """A server's lists have changed: they are to be read again before something counts as not there."""
        self.listed = {one for one in self.listed if one[1] != server}


def _fits(text: str, known: Sized) -> bool:
    return len(text) <= MOST_CHARACTERS and len(known) < MOST


class Shelf:
    """One book for each owner; the one that was not used for longest goes first."""

    def __init__(self, most: int = MOST_OWNERS) -> None:
        self._books: OrderedDict[tuple[str, str, str], Book] = OrderedDict()
        self._most = most

    def of(self, owner: tuple[str, str, str]) -> Book:
        """The book of an owner."""
        book = self._books.setdefault(owner, Book())
        self._books.move_to_end(owner)
        if len(self._books) > self._most:
            self._books.popitem(last=False)
        return book
