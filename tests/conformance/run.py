"""`make conformance`: the official suite against a server of ours and for a client of the SDK, with and without Wicket.

Without Wicket is what the server and the client are worth; with it, nothing may be lost: not one check. Where Wicket
translates between the eras, what may fail is pinned.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from governance.clock import Clock, SystemClock
from tests.conformance import page, suite
from tests.conformance.arrangements import SEATS, STANDS, Seat, Stand
from tests.conformance.pinned import PINNED, Pin
from tests.conformance.process import ROOT, RunError
from tests.conformance.suite import REVISIONS, Outcome, Scenario

PAGE = ROOT / "docs/conformance.md"
MOST_TOLD = 400
"""Characters of one complaint on the terminal; `--json` has all of it."""


def say(text: str) -> None:
    """Tell a person how far it is; the result alone goes to standard output."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@dataclass
class Findings:
    """Everything that was found: `(arrangement, revision)` to scenarios to what became of them."""

    servers: dict[tuple[str, str], dict[str, Outcome]] = field(
        default_factory=dict[tuple[str, str], dict[str, Outcome]]
    )
    clients: dict[tuple[str, str], dict[str, Outcome]] = field(
        default_factory=dict[tuple[str, str], dict[str, Outcome]]
    )
    broken: list[str] = field(default_factory=list[str])
    """What could not be run at all."""

    def complaints(self) -> list[str]:
        """Everything that should not be so; empty when all is well."""
        found = list(self.broken)
        for revision in REVISIONS:
            for stand in STANDS:
                mine, beside = self.servers.get((stand.name, revision)), self.servers.get((stand.beside, revision))
                if mine is not None:
                    where = f"{stand.name}, {revision}"
                    found += lost(where, suite.scenarios(revision, suite.SERVER), mine, beside, PINNED.get(stand.name))
            for seat in SEATS:
                mine, beside = self.clients.get((seat.name, revision)), self.clients.get((seat.beside, revision))
                if mine is not None:
                    found += lost(f"client {seat.name}, {revision}", suite.scenarios(revision, seat.leg), mine, beside)
        return found


def lost(
    where: str,
    scenarios: Iterable[Scenario],
    mine: Mapping[str, Outcome],
    beside: Mapping[str, Outcome] | None,
    pinned: Mapping[str, Pin] | None = None,
) -> list[str]:
    """What must pass and does not, and what is pinned as failing and passes.

    All that is scored must pass, and every check that passes without Wicket.
    """
    found: list[str] = []
    for scenario in scenarios:
        outcome = mine.get(scenario.name, Outcome())
        reference = (beside or {}).get(scenario.name, Outcome())
        missing, worse = sorted(reference.passed - outcome.passed), _worse(outcome, reference)
        pin = (pinned or {}).get(scenario.name)
        if pin is not None:
            found += _beyond(pin, f"{where}: {scenario.name}", outcome)
        elif scenario.scored and not outcome.is_good:
            found.append(f"{where}: {scenario.name}: {'; '.join(outcome.complaints) or 'nothing was checked'}")
        elif missing or worse:
            told = " ".join((", ".join(missing), "; ".join(worse))).strip()
            found.append(f"{where}: {scenario.name}: passes directly, but not here: {told}")
    return found


def _worse(outcome: Outcome, reference: Outcome) -> list[str]:
    """The complaints about checks that nothing is said of directly; none where there is no direct run."""
    if reference == Outcome():
        return []
    known = {_check(complaint) for complaint in reference.complaints}
    return [complaint for complaint in outcome.complaints if _check(complaint) not in known]


def _check(complaint: str) -> str:
    return complaint.partition(": ")[0]


def _beyond(pin: Pin, where: str, outcome: Outcome) -> list[str]:
    """How a scenario differs from what is pinned."""
    failed = {_check(complaint): complaint for complaint in outcome.complaints}
    more = [f"{where}: {failed[check]}" for check in sorted(failed.keys() - pin.checks)]
    fewer = sorted(pin.checks - failed.keys())
    return more + [f"{where}: {check} is pinned as failing, and does not: mend `pinned.py`" for check in fewer]


class Runner:
    """Runs arrangements side by side, as many as there are places.

    Args:
        folder: where everything that is started leaves its records.
        places: how many run at once.
        clock: tells how long each took.
    """

    def __init__(self, folder: Path, places: int, clock: Clock) -> None:
        self.findings = Findings()
        self._folder = folder
        self._clock = clock
        self._places = anyio.Semaphore(places)

    async def run(self, stands: Sequence[Stand], seats: Sequence[Seat]) -> None:
        """Run everything."""
        async with anyio.create_task_group() as group:
            for stand in reversed(stands):  # the slowest are last in the list: every session of theirs is a process
                group.start_soon(self._in_place, stand.name, partial(self._judge, stand))
            for seat in reversed(seats):
                for revision in REVISIONS:
                    group.start_soon(
                        self._in_place, f"client {seat.name}, {revision}", partial(self._sit, seat, revision)
                    )

    async def _in_place(self, what: str, work: Callable[[Path], Awaitable[None]]) -> None:
        """Do one piece of work, in a folder of its own, when there is room."""
        async with self._places:
            try:
                await work(
                    Path(tempfile.mkdtemp(prefix=what.replace("`", "").replace(" ", "-") + "-", dir=self._folder))
                )
            except (RunError, OSError) as error:
                self.findings.broken.append(f"{what}: {error}")
                say(f"{what}: {error}")

    async def _judge(self, stand: Stand, folder: Path) -> None:
        async with stand.opened(folder) as url:
            for revision in stand.revisions:
                begun = self._clock.monotonic()
                found = await suite.judge_server(url, revision, folder / revision)
                self.findings.servers[stand.name, revision] = found
                _tell(stand.name, revision, suite.SERVER, found, self._clock.monotonic() - begun)

    async def _sit(self, seat: Seat, revision: str, folder: Path) -> None:
        begun = self._clock.monotonic()
        async with seat.opened(folder) as command:
            found = self.findings.clients[seat.name, revision] = {}
            for scenario in suite.scenarios(revision, seat.leg):
                found[scenario.name] = await suite.judge_client(
                    command, revision, scenario.name, folder / scenario.name
                )
        _tell(f"client {seat.name}", revision, seat.leg, found, self._clock.monotonic() - begun)


def _tell(where: str, revision: str, leg: str, found: Mapping[str, Outcome], seconds: float) -> None:
    scored = [one.name for one in suite.scenarios(revision, leg) if one.scored]
    good = sum(found.get(name, Outcome()).is_good for name in scored)
    say(f"{where:44} {revision}  {good} of {len(scored)}  {seconds:5.1f} s")


def as_json(findings: Findings) -> dict[str, Any]:
    """The same for a program."""

    def told(found: dict[tuple[str, str], dict[str, Outcome]]) -> dict[str, Any]:
        return {
            f"{name}, {revision}": {
                scenario: {"passed": sorted(outcome.passed), "complaints": list(outcome.complaints)}
                for scenario, outcome in sorted(outcomes.items())
            }
            for (name, revision), outcomes in sorted(found.items())
        }

    complaints = findings.complaints()
    return {"servers": told(findings.servers), "clients": told(findings.clients), "complaints": complaints}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="make conformance ARGS=...", description=__doc__)
    parser.add_argument("--only", default="", help="only arrangements whose names contain this; writes no page")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="how many run at once")
    parser.add_argument("--json", action="store_true", help="say everything as one JSON document")
    parser.add_argument("--keep", action="store_true", help="keep what was recorded even when all is well")
    return parser.parse_args()


async def conform(asked: argparse.Namespace, folder: Path, clock: Clock) -> Findings:
    """Install what is missing, and run what was asked for."""
    say(f"the suite is in {suite.HOME.name}, what is recorded in {folder}")
    await suite.install()
    runner = Runner(folder, asked.jobs, clock)
    word = str(asked.only).lower()
    seats = [seat for seat in SEATS if word in f"client {seat.name}".lower()]
    stands = [stand for stand in STANDS if word in stand.name.lower()]
    if not stands and not seats:
        runner.findings.broken.append(f"nothing is called `{word}`: nothing was run")
    await runner.run(stands, seats)
    return runner.findings


def stale(text: str) -> list[str]:
    """A complaint if the page that is there says something else than `text`."""
    if PAGE.exists() and PAGE.read_text() == text:
        return []
    return [f"{PAGE.relative_to(ROOT)} said something else than this run: look at the difference, and commit it"]


def main() -> int:
    """Run it, say what came of it, and write the page; 1 if anything is lost, or if the page said something else."""
    asked = arguments()
    clock = SystemClock()
    begun = clock.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="wicket-conformance-"))
    findings = asyncio.run(conform(asked, folder, clock))
    complaints = findings.complaints()
    text = page.page(findings.servers, findings.clients, asyncio.run(suite.versions()))
    sys.stdout.write(json.dumps(as_json(findings), indent=1) if asked.json else text)
    if not asked.only and not findings.broken:
        complaints += stale(text)
        PAGE.write_text(text)
        say(f"wrote {PAGE.relative_to(ROOT)}")
    for complaint in complaints:
        say(f"not so: {complaint[:MOST_TOLD]}")
    say(f"{clock.monotonic() - begun:.0f} s in all")
    if not complaints and not asked.keep:
        shutil.rmtree(folder)
    return 1 if complaints else 0
