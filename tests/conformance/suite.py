"""The official suite: installed at a pinned version, run, and what it found read from its own files."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conformance import npm
from tests.conformance.npm import NODE
from tests.conformance.process import ROOT, RunError, output

HOME = ROOT / ".conformance"
HERE = Path(__file__).resolve().parent
PACKAGE = HOME / "node_modules/@modelcontextprotocol/conformance"

REVISIONS = ("2025-11-25", "2026-07-28")
SCENARIO_MILLISECONDS = 120_000
SERVER, CLIENT, OAUTH = "server", "client", "oauth"
"""The sets of scenarios of a revision: for servers, and for clients without and with authorization."""
_AUTH = "auth/"
_STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")


@dataclass(frozen=True)
class Scenario:
    """One scenario of a revision's set; those that are not scored are reported all the same."""

    name: str
    scored: bool


@dataclass(frozen=True)
class Outcome:
    """What became of one scenario: the checks that passed, and what is said of those that did not."""

    passed: frozenset[str] = frozenset()
    complaints: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether something was checked, and all of it is as it should be."""
        return bool(self.passed) and not self.complaints


async def install() -> None:
    """Bring the suite into `.conformance`, at the versions of the checked-in lock; does nothing when it is there.

    Raises:
        RunError: npm failed.
    """
    await npm.install(HOME, HERE)


def scenarios(revision: str, leg: str) -> list[Scenario]:
    """The scenarios of one set; of those about authorization only what is scored, as the others are extensions."""
    asked: Mapping[str, Any] = yaml.safe_load((PACKAGE / f"requirements/{revision}.yaml").read_text())
    side = SERVER if leg == SERVER else CLIENT
    found = [Scenario(name, scored=True) for name in asked[side]]
    if leg != OAUTH:
        found += [Scenario(one["scenario"], scored=False) for one in asked["not_scored"] if one["leg"] == side]
    return [one for one in found if one.name.startswith(_AUTH) == (leg == OAUTH)]


async def versions() -> dict[str, str]:
    """What the suite is, and what runs it."""
    package = json.loads((PACKAGE / "package.json").read_text())
    return {package["name"]: package["version"], "Node.js": (await output([str(NODE), "--version"])).strip()}


async def judge_server(url: str, revision: str, folder: Path) -> dict[str, Outcome]:
    """Run every scenario for servers; their names to what became of them."""
    await _run(["server", "--url", url, "--requirements", revision], folder)
    found = {name.removeprefix("server-"): outcome for name, outcome in _outcomes(folder)}
    if not found:
        raise RunError(f"the suite found nothing at {url}: see {folder}/said")
    return found


async def judge_client(command: Sequence[str], revision: str, scenario: str, folder: Path) -> Outcome:
    """Run one scenario for clients, in which the suite is the server and starts `command`."""
    wanted = ["--scenario", scenario, "--spec-version", revision, "--force"]
    await _run(["client", "--command", " ".join(command), *wanted], folder)
    found = [outcome for _, outcome in _outcomes(folder)]
    return found[0] if found else Outcome(complaints=("the suite reported nothing",))


async def _run(words: Sequence[str], folder: Path) -> None:
    """Run the suite; its exit code says no more than the files that it writes."""
    command = [str(NODE), str(PACKAGE / "dist/index.js"), *words, "--timeout", str(SCENARIO_MILLISECONDS)]
    said = await output([*command, "-o", str(folder)], may_fail=True)
    _keep(folder, said)


def _keep(folder: Path, said: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "said").write_text(said)


def _outcomes(folder: Path) -> list[tuple[str, Outcome]]:
    """What the suite wrote: the folders of scenarios without their time, and what is in them."""
    return [(_STAMP.sub("", one.parent.name), outcome_of(one)) for one in sorted(folder.rglob("checks.json"))]


def outcome_of(checks: Path) -> Outcome:
    """What one file of checks says. A warning is a complaint; what was left out is neither good nor bad.

    Some checks are made several times under one id: they are numbered, so that none can be lost unseen.
    """
    found: list[dict[str, Any]] = json.loads(checks.read_text())
    bad = [one for one in found if one["status"] in ("FAILURE", "WARNING")]
    spoilt = {one["id"] for one in bad}
    times = Counter(str(one["id"]) for one in found if one["status"] == "SUCCESS" and one["id"] not in spoilt)
    good = {name if number == 1 else f"{name} ({number})" for name, n in times.items() for number in range(1, n + 1)}
    return Outcome(frozenset(good), tuple(f"{one['id']}: {one.get('errorMessage') or one['name']}" for one in bad))
