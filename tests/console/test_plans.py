"""No page of the console walks over the log or over all sessions: what each asks the database is explained by it."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, Engine, event, text

from governance.store.backends import backend
from tests.approvals.calls import tool_call
from tests.console.conftest import Served, serving
from tests.console.core import ADMIN
from tests.sessions.index.story import Scene

LARGE = ("audit_events", "event_facets", "sessions", "session_totals", "session_facets", "session_labels", "tallies")
"""Tables that grow without end."""
PAGES = (
    "/console/", "/console/?period=month", "/console/approvals", "/console/pins", "/console/servers", "/console/kills",
    "/console/sessions", "/console/sessions?before=2026~x", "/console/sessions?text=search",
    "/console/sessions?text=s1", "/console/sessions?state=active", "/console/sessions?state=waiting",
    "/console/sessions?state=killed",
    "/console/sessions?state=ended&agent=claude&tool=search&label=mine&finding=any&verdict=deny&approvals=1",
    "/console/sessions?principal=key_1&since=2026-01-01", "/console/sessions/s1", "/console/sessions/s1?after=-1",
    "/console/sessions/s1?before=3", "/console/audit", "/console/audit?session=s1", "/console/audit?exchange=exc_0.0",
    "/console/audit?tool=search&verdict=allow&since=2026-01-01&until=2027-01-01", "/console/audit?text=search",
    "/console/audit?verdict=deny&principal=key_1&rule=no", "/console/audit?text=s1", "/console/api/sessions",
    "/console/api/sessions/s1",
)  # fmt: skip


@pytest.fixture
def asked() -> Iterator[list[tuple[str, Any]]]:
    """Every query of this process, with its values."""
    found: list[tuple[str, Any]] = []

    def note(connection: Connection, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            found.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


def test_no_page_walks_over_what_grows_without_end(database_url: str, asked: list[tuple[str, Any]]) -> None:
    with serving(database_url) as served:
        told(served)
        asked.clear()
        with httpx.Client(base_url=served.url, headers={"authorization": f"Bearer {ADMIN}"}, trust_env=False) as http:
            for page in PAGES:
                assert http.get(page).status_code == 200, page
        queries = {re.sub(r"\s+", " ", statement): (statement, values) for statement, values in asked}
    assert len(queries) > 30
    place = backend(database_url)
    with place.writer() as connection, connection.begin():
        plans = {short: explained(connection, *query) for short, query in queries.items()}
    place.close()
    assert {short: plan for short, plan in plans.items() if walks(plan)} == {}


def test_a_plan_that_walks_is_told_from_one_that_does_not(database_url: str) -> None:
    with serving(database_url):
        pass
    place = backend(database_url)
    with place.writer() as connection, connection.begin():
        walking = "SELECT count(*) FROM audit_events WHERE mac = 'x'"
        assert walks(explained(connection, walking, ()))
        assert not walks(explained(connection, "SELECT body FROM audit_events WHERE seq = 5", ()))
        assert walks(explained(connection, "SELECT count(*) FROM audit_events", ()))
        by_index = "SELECT id FROM sessions ORDER BY first_seen DESC, id DESC LIMIT 5"
        assert not walks(explained(connection, by_index, ()))
    place.close()


def told(served: Served) -> None:
    """Some calls of two sessions, and a ticket."""
    core = served.core
    here = Scene(core.store, core.audit, core.clock, core.runs, None, None)  # type: ignore[arg-type] - it only tells
    for name in ("s1", "s2"):
        served.portal.call(here.run, name)
        served.portal.call(lambda name=name: here.call(name, tool="search", labels_set=["mine: rule:crm"]))
        served.portal.call(lambda name=name: here.call(name, tool="rm", decision="deny", rule="no"))
    served.portal.call(core.hold, tool_call())


def explained(connection: Connection, statement: str, values: Any) -> str:
    """What the database would do. An empty Postgres would rather read all: it is told to do so only if it must."""
    if connection.dialect.name == "postgresql":
        for setting in ("enable_seqscan", "enable_bitmapscan"):
            connection.execute(text(f"SET LOCAL {setting} = off"))
        rows = connection.exec_driver_sql(f"EXPLAIN {statement}", values)
        return "\n".join(str(row[0]) for row in rows)
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
    limited = "Limit\n" if "LIMIT" in statement else ""  # which SQLite's plans do not tell
    return "\n".join(limited * (" SCAN" in f" {row[3]}" and "USING" in row[3]) + str(row[3]) for row in rows)


def walks(plan: str) -> bool:
    """Whether a plan reads a whole large table, or a whole index of one where no limit stands right above it."""
    lines = ["", *plan.splitlines(), ""]
    for above, line, below in zip(lines, lines[1:], lines[2:], strict=False):
        if not re.search(rf"(SCAN|Scan.* on) ({'|'.join(LARGE)})\b", line):
            continue
        if "Seq Scan" in line or ("SCAN" in line and "USING" not in line):
            return True
        if "Index Cond" not in below and "Limit" not in above:
            return True
    return False
