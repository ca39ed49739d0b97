"""The rules in force with what they did, their earlier versions, and why an exchange was decided as it was.

Nothing is changed here: a policy is its files. What is shown is read from the database, so it is the same wherever
the console runs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from anyio import to_thread
from starlette.responses import Response

from console import plots, rulings
from console.figures import DECISIONS
from console.frame import Frame, Visit
from governance.config.document import Problem
from governance.config.models import Config
from governance.history.explained import explained
from governance.history.versions import Difference, UnknownVersionError, Version, difference, version_called
from governance.policy.engine import Policy
from governance.policy.load import PolicyError, Source, compile_sources
from pipeline.doubts import doubts

MOST = 50
"""Versions that are listed."""
MOST_LINES = 2_000
"""Lines of a difference that are shown."""
_VERSION = re.compile(r"[0-9a-f]{6,64}")
_EXCHANGE = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Standing:
    """The policy in force, as far as this version of Wicket can use it."""

    policy: Policy | None
    doubts: Sequence[Problem] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs between two versions, or why that cannot be said."""

    before: str = ""
    after: str = ""
    found: Difference | None = None
    problem: str = ""


async def index(frame: Frame, visit: Visit) -> Response:
    """The rules in force, and the versions."""
    now = frame.core.clock.now()
    versions = await frame.versions.listed(MOST)
    standing = Standing(None)
    if versions:
        # In a thread, as all that compiles rules: the process may have calls to answer meanwhile.
        standing = await to_thread.run_sync(partial(_standing, frame.core.config, versions[0].sources))
    found, shadows, fitted = None, [], []
    if standing.policy is not None:
        counts = await frame.shelf.counts(rulings.since(now), tenant=visit.visitor.tenant)
        found = rulings.rulings(standing.policy, counts, now)
        fitted = plots.lengths([one.fitted for one in found.rules])
        form = rulings.PERIOD.form
        shadows = [(one, plots.stacks(one.columns, DECISIONS, form, width=520, height=140)) for one in found.shadows]
    compared = await _compared(frame, visit)
    return await frame.draw(
        visit,
        "policies.html",
        status=404 if compared.problem else 200,
        versions=versions,
        standing=standing,
        found=found,
        fitted=fitted,
        shadows=shadows,
        decisions=DECISIONS,
        period=rulings.PERIOD,
        compared=compared,
        most_lines=MOST_LINES,
    )


async def explain(frame: Frame, visit: Visit) -> Response:
    """Each rule's answer about one exchange."""
    exchange_id = visit.request.path_params["exchange"]
    halves = await explained(frame.core.store, exchange_id) if _EXCHANGE.fullmatch(exchange_id) else []
    if not halves or not all(visit.visitor.sees(one.half.tenant) for one in halves):
        what = "no exchange with this id was judged, or it is not for you to see"
        return frame.notice("no such exchange", what, 404)
    newest = await frame.versions.listed(1)
    in_force = newest[0].version if newest else ""
    return await frame.draw(visit, "explain.html", exchange_id=exchange_id, halves=halves, in_force=in_force)


def _standing(config: Config, sources: Sequence[Source]) -> Standing:
    try:
        policy = compile_sources(sources)
    except PolicyError as error:
        return Standing(None, problem=str(error.problems[0]))
    return Standing(policy, doubts(config, policy))


async def _compared(frame: Frame, visit: Visit) -> Compared:
    """What the address asks to compare; nothing where it asks for nothing."""
    asked = visit.request.query_params
    before, after = asked.get("before", "").strip(), asked.get("after", "").strip()
    if not before and not after:
        return Compared()
    try:
        one, other = await _called(frame, before), await _called(frame, after)
    except UnknownVersionError as error:
        return Compared(problem=str(error))
    found = await to_thread.run_sync(partial(difference, one.sources, other.sources))
    return Compared(one.short, other.short, found)


async def _called(frame: Frame, name: str) -> Version:
    """The version of a name.

    Raises:
        UnknownVersionError: there is none, or there are several.
    """
    if not _VERSION.fullmatch(name):
        raise UnknownVersionError(f"`{name}` names no version: give at least 6 of its hexadecimal digits")
    return await version_called(frame.versions, name)
