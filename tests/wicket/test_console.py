"""`wicket console` as a person runs it: a real process on a port of its own, beside no proxy at all."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.wicket.conftest import CONFIG, Wicket
from wicket.exits import Exit

pytestmark = pytest.mark.xdist_group("console")

PATIENCE = 90
ADDRESS = re.compile(r"found at (http://\S+)/console/")


@pytest.fixture(params=["sqlite", "postgres"])
def served(request: pytest.FixtureRequest, wicket: Wicket, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Its address and the key of an auditor, on either database."""
    database = f"database: file:{tmp_path}/url\n" if request.param == "postgres" else ""
    if database:
        (tmp_path / "url").write_text(str(request.getfixturevalue("postgres_url")))
    (tmp_path / "wicket.yaml").write_text(CONFIG + database)
    (tmp_path / "policy.yaml").write_text("version: 1\ndefault: allow\n")
    assert wicket("init").code == 0
    if database:
        assert wicket("db", "upgrade").code == 0
    key = wicket("keys", "create", "--role", "auditor", "--user", "ann", "--tenant", "*", "--json").json["token"]
    command = [sys.executable, "-m", "wicket", "console", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            assert process.stderr is not None
            address = _address(process.stderr.fileno())
            # It listens before it serves: who asks is answered once it does.
            assert httpx.get(f"{address}/healthz", timeout=PATIENCE, trust_env=False).status_code == 200
            yield address, key
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
    assert process.returncode == 0


def _address(handle: int) -> str:
    said = ""
    while (found := ADDRESS.search(said)) is None:
        assert select.select([handle], [], [], PATIENCE)[0], said
        said += os.read(handle, 4096).decode()
    return found[1]


def test_it_serves_pages_and_api_by_itself_with_the_same_protection(
    served: tuple[str, str], wicket: Wicket, tmp_path: Path
) -> None:
    address, key = served
    with httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE) as http:
        assert http.get("/healthz").status_code == 200
        assert http.get("/").headers["location"] == "/console/"
        page = http.get("/console/login")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert http.get("/console/login", headers={"host": "evil.test"}).status_code == 421
        assert http.get("/console/login", headers={"origin": "http://evil.test"}).status_code == 403
        assert http.get("/api/v1/openapi.json").json()["openapi"] == "3.1.0"
        missing = http.get("/v1/models")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert http.get("/metrics").status_code == 401
        ours = {"origin": address, "sec-fetch-site": "same-origin"}
        assert http.post("/console/login", data={"secret": key}, headers=ours).status_code == 303
        assert "Audit log" in http.get("/console/audit").text
        assert "There is no rule yet" in http.get("/console/policies").text
        bearer = {"authorization": f"Bearer {key}"}
        events = http.get("/api/v1/audit/events", params={"tag": "person.signed_in"}, headers=bearer).json()["items"]
        assert [(one["fields"]["how"], one["fields"]["writer"]) for one in events] == [("key", "console")]
    verified = wicket("audit", "verify", "--json")
    assert verified.code == 0, json.dumps(verified.json)


def test_a_taken_port_is_said(served: tuple[str, str], wicket: Wicket) -> None:
    said = wicket("console", "--port", served[0].rpartition(":")[2])
    assert (said.code, "is taken by another program" in said.err) == (int(Exit.UNAVAILABLE), True)
