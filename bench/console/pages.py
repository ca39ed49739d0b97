"""Asks every page of a console again and again, and says how long it took to answer."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx

from bench.console.load import killed
from bench.console.story import Story, ticket_id

BOUND = 300
"""Milliseconds within which a page has to answer, at the median."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is asked for."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Measured:
    """How a page answered."""

    page: Page
    milliseconds: tuple[float, ...]
    kilobytes: float

    @property
    def median(self) -> float:
        """Half of the answers took no longer."""
        return statistics.median(self.milliseconds)

    @property
    def high(self) -> float:
        """Nineteen of twenty answers took no longer."""
        return sorted(self.milliseconds)[max(0, -(-len(self.milliseconds) * 19 // 20) - 1)]

    @property
    def slow(self) -> bool:
        """Whether it took too long."""
        return self.median >= BOUND


def pages(story: Story, ticket: str) -> Iterator[Page]:
    """Every page that there is, and what people do with the large ones."""
    large, stopped = story.session(0).id, story.session(killed(story)[0]).id
    middle = story.at(15 * 86_400_000_000)[:16]
    later = story.at(22 * 86_400_000_000)[:16]
    yield from (Page(f"overview, last {one}", f"/console/?period={one}") for one in ("hour", "day", "week", "month"))
    yield Page("approvals", "/console/approvals")
    yield Page("one approval", f"/console/approvals/{ticket}")
    yield Page("pins", "/console/pins")
    yield Page("one pin", "/console/pins/first")
    yield Page("policies", "/console/policies")
    yield Page("servers", "/console/servers")
    yield Page("kill switch", "/console/kills")
    yield Page("sessions", "/console/sessions")
    some = {
        "active": {"state": "active"}, "waiting": {"state": "waiting"}, "killed": {"state": "killed"},
        "ended": {"state": "ended"}, "agent and tool": {"agent": "codex", "tool": "send_mail"},
        "key": {"principal": "key_07"}, "tenant": {"tenant": "hooli"}, "model": {"model": "gpt-6"},
        "label": {"label": "untrusted_content"}, "finding": {"finding": "secret.aws_key"},
        "asked": {"approvals": "1"}, "verdict": {"verdict": "kill"}, "a week": {"since": middle, "until": later},
        "text": {"text": "postgres"}, "five at once": {
            "agent": "etl", "tool": "get_mail", "finding": "pii.card", "label": "untrusted_content", "verdict": "kill"},
        "an id": {"text": large}, "nothing": {"tool": "no_such_tool"},
        "a page in the middle": {"before": f"{middle}~x"},
    }  # fmt: skip
    yield from (Page(f"sessions: {name}", f"/console/sessions?{urlencode(one)}") for name, one in some.items())
    yield Page("a session of ten thousand events", f"/console/sessions/{large}")
    yield Page("the same, first events", f"/console/sessions/{large}?after=-1")
    yield Page("a stopped session", f"/console/sessions/{stopped}")
    yield Page("a session with lineage", f"/console/sessions/{story.session(0 if story.sessions < 50 else 50).id}")
    yield Page("audit", "/console/audit")
    log = {
        "a session": {"session": large}, "an exchange": {"exchange": "exc_000000000001"}, "tool": {"tool": "send_mail"},
        "key": {"principal": "key_07"}, "verdict": {"verdict": "deny"}, "allowed": {"verdict": "allow"},
        "rule": {"rule": "night-shift"}, "kind": {"kind": "approval.denied"}, "person": {"principal": "approver3"},
        "a minute": {"since": middle, "until": f"{middle}:59"}, "text": {"text": "database"},
        "five at once": {
            "tool": "delete_mail", "verdict": "kill", "rule": "spend", "principal": "key_11", "text": "mail"},
        "rare in common": {"verdict": "kill", "model": "gpt-6", "text": "support"},
        "nothing": {"text": "no such words anywhere"}, "far back": {"before": str(story.events // 10)},
    }  # fmt: skip
    yield from (Page(f"audit: {name}", f"/console/audit?{urlencode(one)}") for name, one in log.items())


def measure(client: httpx.Client, page: Page, times: int) -> Measured:
    """Ask for a page `times` times.

    Raises:
        RuntimeError: it does not answer as a page.
    """
    taken: list[float] = []
    size = 0
    for _ in range(times):
        began = time.perf_counter()
        answer = client.get(page.address)
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"`{page.address}` answers {answer.status_code}: {answer.text[:300]}")
        size = len(answer.content)
    return Measured(page, tuple(taken), size / 1024)


def measured(base_url: str, token: str, story: Story, times: int, say: Callable[[str], None]) -> list[Measured]:
    """Measure every page of the console at an address."""
    with httpx.Client(
        base_url=base_url, headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=60
    ) as client:
        ticket = client.get("/console/api/tickets?state=pending").json()["tickets"][0]["id"]
        pin = client.get("/console/api/pins").json()["pins"][0]["id"]
        assert ticket.startswith(ticket_id(0, 0)[:4])
        found: list[Measured] = []
        for page in pages(story, ticket):
            one = measure(client, Page(page.name, page.address.replace("/pins/first", f"/pins/{pin}")), times)
            say(f"{one.median:7.0f} ms  {one.high:7.0f} ms  {one.kilobytes:6.0f} KB  {page.name}")
            found.append(one)
        return found
