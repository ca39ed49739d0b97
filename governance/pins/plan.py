"""What a listing changes, before anything is written: each definition against what is trusted.

Pure but for the scan that is handed in. It decides what may be trusted at first use and why not; `pins.py` writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from governance import jsontree
from governance.audit.event import Tag
from governance.config.models import McpServer
from governance.jsontree import Json
from governance.pins.manifest import Manifest
from governance.pins.names import looks, near
from governance.pins.pin import FIRST_USE, MANIFEST, Change, Key, Kind, Pin, State
from governance.pins.scan import Scan

MAX_PINS = 2_000
"""Most pins of one server; what is listed beyond is not shown."""
MOST_LETTERS = 100_000
"""Most letters of names that are compared one by one for one listing; a new name waits for a person anyway."""
FIRST_USE_TIME = timedelta(hours=1)
"""How long after its first tool was trusted a server may list others as its first ones. A listing that never ends would
leave the door open for ever."""

_UNCONFIGURED = McpServer()


@dataclass(frozen=True)
class Rules:
    """What is trusted where."""

    servers: Mapping[str, McpServer]
    """Settings of each server by name; one that is not there has the usual ones."""
    scan: Scan
    """Looks through what is to be trusted at first use."""
    manifest: Manifest

    def mode(self, server: str) -> str:
        """`trust-first-use`, `manifest` or `off`."""
        return self.servers.get(server, _UNCONFIGURED).pins

    def trusts(self, pin: Pin) -> bool:
        """Whether a pin lets what is given now be used, in the mode of its server."""
        if pin.state is not State.TRUSTED or pin.digest != pin.live:
            return False
        if self.mode(pin.server) != "manifest" or pin.kind is Kind.SET:
            return True
        by_file = pin.trusted_by == MANIFEST
        return self.manifest.holds(pin.key, pin.digest) if by_file else pin.trusted_by != FIRST_USE


@dataclass
class Known:
    """Every pin, and those of trusted tools by what their names look like."""

    pins: dict[Key, Pin] = field(default_factory=dict[Key, Pin])
    alike: dict[str, list[Pin]] = field(default_factory=dict[str, list[Pin]])
    of_server: dict[str, list[Pin]] = field(default_factory=dict[str, list[Pin]])
    began: dict[str, str] = field(default_factory=dict[str, str])
    """When the first tool of each server was trusted, of those that still are."""

    @classmethod
    def of(cls, pins: list[Pin]) -> "Known":
        """What is known after reading the table."""
        known = cls()
        for pin in pins:
            known.pins[pin.key] = pin
            known.of_server.setdefault(pin.server, []).append(pin)
            if pin.kind is Kind.TOOL and pin.digest:
                known.alike.setdefault(looks(pin.name), []).append(pin)
                known.began[pin.server] = min(known.began.get(pin.server, pin.trusted_at), pin.trusted_at)
        return known

    def sealed(self, server: str) -> bool:
        """Whether the tools of a server were listed to the end once."""
        return (server, Kind.SET.value, "") in self.pins

    def closed(self, server: str, at: str) -> bool:
        """Whether a tool that a server lists at this time (RFC 3339) is no longer one of its first."""
        if self.sealed(server):
            return True
        began = self.began.get(server, "")
        return bool(began) and datetime.fromisoformat(at) - datetime.fromisoformat(began) > FIRST_USE_TIME


class Plan:
    """The changes that one listing of one server makes.

    Args:
        rules: what is trusted where.
        known: the pins as they stand.
        server: the server's name.
        kind: what it lists.
        at: when, RFC 3339.
    """

    def __init__(self, rules: Rules, known: Known, server: str, kind: Kind, at: str) -> None:
        self._rules = rules
        self._known = known
        self._server = server
        self._kind = kind
        self._at = at
        self._closed = known.closed(server, at)
        self._fresh: dict[str, str] = {}
        """Names that this listing brings and that are trusted with it, by what they look like."""
        self._room = MAX_PINS - len(known.of_server.get(server, ()))
        self._letters = MOST_LETTERS
        self.changes: dict[Tag, list[Change]] = {}
        """What is to be written, by the event that tells of it."""

    def consider(self, name: str, digest: str, value: Json) -> None:
        """Take in one definition: its name, its digest, and itself as received."""
        key = (self._server, self._kind.value, name)
        before = self._known.pins.get(key)
        if before is None and self._room <= 0:
            return
        by_file = self._rules.manifest.holds(key, digest)
        if before is not None and before.live == digest and not (by_file and before.state is State.PENDING):
            self._withdraw(before, by_file=by_file)
            return
        after = replace(
            self._after(before, name, digest, value, by_file=by_file), live=digest, live_at=self._at,
            live_definition=jsontree.dump(value).decode(),
        )  # fmt: skip
        tag = Tag.PIN_TRUSTED if after.state is State.TRUSTED else Tag.PIN_HELD
        if after.state is State.TRUSTED and after.digest == digest:
            tag = Tag.PIN_RESTORED
        elif after.state is State.TRUSTED:
            after = replace(after, digest=digest, definition=after.live_definition, trusted_at=self._at)
        self._room -= before is None
        self.changes.setdefault(tag, []).append(Change(before, after))

    def seal(self, digests: Mapping[str, str]) -> None:
        """The listing of tools is at its end: what comes later is new. A server without tools has none to seal yet."""
        if self._known.sealed(self._server):
            return
        known = self._known.of_server.get(self._server, ())
        listed = {pin.name: pin.live for pin in known if pin.kind is Kind.TOOL} | dict(digests)
        if not listed:
            return
        names: list[Json] = [[name, digest] for name, digest in sorted(listed.items())]
        digest, text = jsontree.digest(names), jsontree.dump(names).decode()
        pin = Pin(
            self._server, Kind.SET, "", State.TRUSTED, digest, digest, live_at=self._at, trusted_at=self._at,
            trusted_by=FIRST_USE, definition=text, live_definition=text,
        )  # fmt: skip
        self.changes.setdefault(Tag.PIN_TRUSTED, []).append(Change(None, pin))

    # -- within -----------------------------------------------------------------------------------------------------

    def _withdraw(self, before: Pin, *, by_file: bool) -> None:
        """Nothing was changed, but what was trusted at first use, or by a file, may count no longer."""
        if before.state is not State.TRUSTED or self._rules.trusts(before):
            return
        if by_file:
            after, tag = replace(before, trusted_by=MANIFEST), Tag.PIN_TRUSTED
        else:
            reason = f"{before.what} was not approved yet"
            after = replace(before, state=State.PENDING, rule="pin.new", reason=reason, digest="", trusted_by="")
            tag = Tag.PIN_HELD
        self.changes.setdefault(tag, []).append(Change(before, after))

    def _after(self, before: Pin | None, name: str, digest: str, value: Json, *, by_file: bool) -> Pin:
        """The pin as it should be, still with the digest that was trusted before."""
        pin = before or Pin(self._server, self._kind, name, State.PENDING, digest)
        trusted = replace(pin, state=State.TRUSTED, rule="", reason="")
        if by_file:
            return replace(trusted, trusted_by=MANIFEST)
        if pin.digest == digest and self._rules.trusts(replace(trusted, live=digest)):
            return trusted
        if pin.digest:
            rule, reason = "pin.drift", f"{pin.what} changed since it was trusted"
        else:
            rule, reason = self._doubt(pin, digest, value)
        if rule:
            return replace(pin, state=State.PENDING, rule=rule, reason=reason)
        self._fresh[looks(name)] = name
        return replace(trusted, trusted_by=FIRST_USE)

    def _doubt(self, pin: Pin, digest: str, value: Json) -> tuple[str, str]:
        """Why something that was never trusted is not trusted at first sight: rule and reason, or nothing."""
        if pin.state is State.REJECTED or pin.decided_by:
            # Whoever was rejected once is looked at by a person, however often it changes meanwhile.
            return "pin.drift", f"{pin.what} changed since it was rejected"
        if self._kind is Kind.TOOL and (found := self._double(pin.name, digest)):
            return found
        if kinds := self._rules.scan(value):
            return "pin.finding", f"`{kinds[0]}` was found in {pin.what}"
        late = self._kind is Kind.TOOL and self._closed
        if late or self._rules.mode(self._server) != "trust-first-use":
            return "pin.new", f"{pin.what} is new on this server"
        return "", ""

    def _double(self, name: str, digest: str) -> tuple[str, str] | None:
        """A tool that this one could be taken for."""
        alike = looks(name)
        for other in self._known.alike.get(alike, ()):
            here = other.server == self._server
            if other.name != name:
                where = "this server" if here else f"server `{other.server}`"
                return "pin.confusable", f"the tool `{name}` looks like `{other.name}` of {where}"
            if not here and other.digest != digest:
                return "pin.collision", f"server `{other.server}` has a tool `{name}` too, with another definition"
        twin = self._fresh.get(alike, name)
        if twin != name:
            return "pin.confusable", f"the tool `{name}` looks like `{twin}` of this server"
        return self._slip(name) if self._closed else None

    def _slip(self, name: str) -> tuple[str, str] | None:
        """A pinned tool of this server whose name is a slip away. Only asked about names that came later."""
        for pin in self._known.of_server.get(self._server, ()):
            if pin.kind is not Kind.TOOL or not pin.digest or pin.name == name or self._letters <= 0:
                continue
            self._letters -= len(name)
            if near(name, pin.name):
                return "pin.confusable", f"the tool `{name}` is new, and its name is near `{pin.name}`"
        return None
