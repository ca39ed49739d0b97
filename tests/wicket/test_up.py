"""`wicket up` as a person runs it: real processes, real ports."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.wicket.conftest import Wicket

pytestmark = pytest.mark.xdist_group("up")

PATIENCE = 90
"""Seconds until a start counts as failed; the machine may be busy."""


@dataclass
class Running:
    """A `wicket up` that answers."""

    process: subprocess.Popen[str]
    facts: dict[str, str]
    err: Path

    def status(self, front: str, path: str, **headers: str) -> int:
        """Status of one GET."""
        connection = http.client.HTTPConnection(urlsplit(self.facts[front]).netloc, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def children(self) -> dict[str, int]:
        """Ids of the processes below it, by their command."""
        found: dict[str, int] = {}
        for directory in Path("/proc").iterdir():
            if directory.name.isdecimal() and parent_of(directory) == self.process.pid:
                command = (directory / "cmdline").read_text().split("\0")
                found[command[command.index("wicket") + 1]] = int(directory.name)
        return found


def parent_of(directory: Path) -> int:
    try:
        return int((directory / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def wait_for_end(pid: int) -> None:
    """Return when a process is gone, which need not be a child of ours."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], PATIENCE)[0], "the process did not end"
    finally:
        os.close(handle)


def start(place: Path) -> Running:
    err = place / "err.txt"
    with err.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "wicket", "up", "--gateway-port", "0", "--mcp-port", "0", "--json"],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=sink,
            text=True,
        )
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            return Running(process, json.loads(text), err)
    raise AssertionError(err.read_text())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Started once in an empty directory: the first run of a fresh machine."""
    running = start(tmp_path_factory.mktemp("fresh"))
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def test_the_first_run_sets_up_and_answers_on_both_ports(up: Running):
    place = up.err.parent
    assert (place / "wicket.yaml").exists()
    assert (place / ".wicket" / "master.key").exists()
    assert up.status("gateway", "/healthz") == 200
    assert up.status("mcp", "/health") == 200
    assert "made wicket.yaml" in up.err.read_text()


def test_the_first_key_opens_the_gateway_and_nothing_else_does(up: Running):
    assert up.status("gateway", "/v1/models") == 401
    assert up.status("gateway", "/v1/models", Authorization="Bearer wk_wrong") == 401
    assert up.status("gateway", "/v1/models", Authorization=f"Bearer {up.facts['token']}") != 401
    assert up.status("mcp", "/mcp/files") == 401


@pytest.mark.parametrize(("front", "path"), [("gateway", "/v1/models"), ("gateway", "/console"), ("mcp", "/mcp/files")])
def test_a_host_or_origin_of_elsewhere_is_refused_on_every_front(up: Running, front: str, path: str):
    assert up.status(front, path, Host="evil.example") == 421
    assert up.status(front, path, Origin="http://evil.example") == 403


def test_the_link_opens_the_console_and_its_secret_reaches_no_server(up: Running):
    link = urlsplit(up.facts["console"])
    assert link.fragment.startswith("wl_")
    assert up.status("gateway", link.path) == 200


def test_a_process_that_is_killed_is_started_again(up: Running):
    before = up.children()
    os.kill(before["mcp"], signal.SIGKILL)
    wait_for_end(before["mcp"])
    assert up.status("mcp", "/health") == 200, "the socket keeps the request until the process is there again"
    after = up.children()
    assert (after["gateway"], after["mcp"] != before["mcp"]) == (before["gateway"], True)
    assert "mcp ended (signal SIGKILL); starting it again in 0.2 s" in up.err.read_text()


def test_sigterm_ends_everything_in_order_and_says_so_in_the_log(up: Running, wicket: Wicket):
    children = up.children()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(PATIENCE) == 0
    for pid in children.values():
        wait_for_end(pid)
    config = ["--config", str(up.err.parent / "wicket.yaml"), "--json"]
    stopped = wicket("audit", "show", "--type", "process.stopped", *config).json
    assert {event["process"] for event in stopped} == {"gateway", "mcp"}
    assert wicket("audit", "verify", *config).code == 0


def test_nothing_is_left_when_the_supervisor_is_killed(installed: Path):
    running = start(installed)
    children = running.children()
    assert set(children) == {"gateway", "mcp"}
    assert "token" not in running.facts
    running.process.kill()
    for pid in children.values():
        wait_for_end(pid)
    running.process.communicate()


def test_a_port_that_is_taken_is_told_before_anything_starts(wicket: Wicket, installed: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = wicket("up", "--gateway-port", "0", "--mcp-port", str(taken.getsockname()[1]))
    assert ran.code == 5
    assert ran.err.startswith("error: `127.0.0.1:")
    assert ran.err.endswith("is taken by another program: stop that program, or change `mcp.port`\n")


def test_a_weak_secret_refuses_to_start(wicket: Wicket, installed: Path):
    (installed / ".wicket" / "admin.token").write_text("changeme")
    ran = wicket("up")
    assert ran.code == 3
    assert "the admin token" in ran.err
    assert "changeme" not in ran.err


def test_a_broken_configuration_refuses_to_start(wicket: Wicket, tmp_path: Path):
    (tmp_path / "wicket.yaml").write_text("gatway: {}")
    ran = wicket("up")
    assert ran.code == 3
    assert ran.err.startswith("error: wicket.yaml:1: `gatway` is not a known setting")


def test_a_first_run_that_fails_says_why(wicket: Wicket, tmp_path: Path):
    (tmp_path / ".wicket").mkdir(mode=0o755)
    ran = wicket("up")
    assert ran.code == 3
    assert "is open to other users: run `chmod 700" in ran.err


def test_a_policy_that_cannot_be_used_ends_everything_at_once(installed: Path):
    (installed / "policy.yaml").write_text("version: 2\n")
    done = subprocess.run(
        [sys.executable, "-m", "wicket", "up"],
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 3
    assert "policy.yaml:1" in done.stderr
    assert "starting it again" not in done.stderr
