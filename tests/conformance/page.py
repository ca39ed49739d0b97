"""From what was found to `docs/conformance.md`: sums, and every scenario beside every arrangement."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import yaml

from tests.conformance import suite
from tests.conformance.arrangements import SEATS, STANDS
from tests.conformance.installation import POLICY, SETTINGS
from tests.conformance.pinned import PINNED
from tests.conformance.suite import REVISIONS, Outcome, Scenario

INTRO = """# Conformance

Made by `make conformance`, which `make check` runs too: the official conformance suite of the Model Context Protocol,
against a server of our own that offers everything the suite scores (`tests/conformance/fixture`, on the official
Python SDK), and for a client on the same SDK. First directly, to see what the server and the client are worth; then
with Wicket in between, as a real process with all that governs switched on. Whatever passes directly must pass through
Wicket, check by check, or the command fails. So it does when the audit log of a run does not verify, is empty, or holds
another decision than to allow an exchange as it is: nothing was refused, held, redacted or warned about, but for calls
of tools that the server does not list. And it fails when this page, as committed, says something else than the run.

The suite speaks HTTP only. A small adapter (`tests/conformance/adapter.py`, without any code of Wicket) stands before
what speaks stdio: the server itself, or `wicket stdio` around it.
"""
GOVERNED = """## What is configured

Detection and loop detection are as they are without a setting. `approvals.tasks` is off, so that servers say of
themselves what they say. The suite sends no key, so HTTP requests without one are let in, on loopback; `wicket stdio`
has a key. Of the server only its address or its command is given; but pins are off in the client scenarios
`request-metadata` and `http-standard-headers`, which call a tool that their server does not list, and schemas in
`http-custom-headers`, which sends null where a truth value is wanted.
"""
LEGEND = """
✓ and the number of checks that passed; ✗ and the number that did not; nothing where nothing was checked. In the sums
only those scenarios count that the suite scores for the revision.
"""
UNSCORED = "reported, not scored"


def page(
    servers: Mapping[tuple[str, str], Mapping[str, Outcome]],
    clients: Mapping[tuple[str, str], Mapping[str, Outcome]],
    versions: Mapping[str, str],
) -> str:
    """The whole page as Markdown. Nothing in it depends on when or where it was made."""
    about = {**versions, "Python SDK": version("mcp"), "Wicket": version("wicket")}
    lines = [INTRO, *_table(list(about), [("", list(about.values()))], corner=None)]
    lines += ["", "## Sums", "", *_sums(servers, clients), LEGEND, GOVERNED]
    lines += [*_yaml(SETTINGS), "The policy:", "", *_yaml(POLICY)]
    for revision in REVISIONS:
        names = [stand.name for stand in STANDS if revision in stand.revisions]
        lines += [f"## Servers, {revision}", "", *_scenarios(revision, suite.SERVER, names, servers), ""]
    lines += [CROSSED, *_pins()]
    for revision in REVISIONS:
        lines += [f"## Clients, {revision}", ""]
        for leg in (suite.CLIENT, suite.OAUTH):
            names = [seat.name for seat in SEATS if seat.leg == leg]
            lines += [*_scenarios(revision, leg, names, clients), ""]
    return "\n".join(lines).rstrip() + "\n" + LIMITS


CROSSED = """## Across the eras

The fixture can be told to speak one era only (`--era legacy` or `--era modern`). Then it refuses the other as servers
of its kind do, and asks its client in its own way: by requests while the call goes on, or by `input_required`. The
suite speaks the other era, and Wicket stands between the two. What may fail is written down in
`tests/conformance/pinned.py`, check by check; the command fails if anything else does, and if one of these passes.
"""
LIMITS = """
Scenarios about OAuth are played by Wicket's own client, the part of it that signs in to servers
(`tests/conformance/oauth_client.py`): the suite is the server behind the MCP proxy, and the official client before it
knows nothing of OAuth. With the others, through Wicket, these are all the client scenarios that the suite scores. About
OAuth only what is scored is played; the rest are extensions, most of which are [not there yet](oauth.md#not-there-yet).

The scenarios of the tasks extension fail without Wicket too, as the server has no tasks; so does `server-sse-polling`
over stdio, where there is no stream that a server could cut.
"""


def _pins() -> list[str]:
    rows = [
        (f"`{scenario}`", [stand, ", ".join(f"`{check}`" for check in sorted(pin.checks)), pin.reason])
        for stand, pins in PINNED.items()
        for scenario, pin in pins.items()
    ]
    return [*_table(["arrangement", "checks that fail", "why"], rows, corner="scenario"), ""]


def _yaml(value: Mapping[str, Any]) -> list[str]:
    text = yaml.safe_dump(dict(value), sort_keys=False, default_flow_style=None, width=110)
    return ["```yaml", text.rstrip(), "```", ""]


def _sums(
    servers: Mapping[tuple[str, str], Mapping[str, Outcome]], clients: Mapping[tuple[str, str], Mapping[str, Outcome]]
) -> list[str]:
    rows = [
        (stand.name, [_sum(servers.get((stand.name, one), {}), one, suite.SERVER) for one in REVISIONS])
        for stand in STANDS
    ]
    rows += [
        (f"client, {seat.name}", [_sum(clients.get((seat.name, one), {}), one, seat.leg) for one in REVISIONS])
        for seat in SEATS
    ]
    return _table(list(REVISIONS), rows, corner="scored scenarios that pass")


def _sum(found: Mapping[str, Outcome], revision: str, leg: str) -> str:
    scored = [one.name for one in suite.scenarios(revision, leg) if one.scored]
    return f"{sum(found.get(name, Outcome()).is_good for name in scored)} of {len(scored)}" if found else ""


def _scenarios(
    revision: str, leg: str, names: Sequence[str], found: Mapping[tuple[str, str], Mapping[str, Outcome]]
) -> list[str]:
    rows = [
        (_titled(one), [_cell(found.get((name, revision), {}).get(one.name)) for name in names])
        for one in suite.scenarios(revision, leg)
    ]
    return _table(names, rows, corner="scenario")


def _titled(scenario: Scenario) -> str:
    return f"`{scenario.name}`" + ("" if scenario.scored else f" ({UNSCORED})")


def _cell(outcome: Outcome | None) -> str:
    if outcome is None or not (outcome.passed or outcome.complaints):
        return ""
    return f"✓ {len(outcome.passed)}" if outcome.is_good else f"✗ {len(outcome.complaints)}"


def _table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], corner: str | None) -> list[str]:
    first = [] if corner is None else [corner]
    lines = ["| " + " | ".join([*first, *heads]) + " |", "|" + "---|" * (len(first) + len(heads))]
    for name, cells in rows:
        lines.append("| " + " | ".join([*([] if corner is None else [name]), *cells]) + " |")
    return lines
