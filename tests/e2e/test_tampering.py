"""`wicket audit verify`: what was changed, removed or cut off is told; and by which exit code."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.e2e.provider import Provider
from tests.e2e.stack import Stack, configure, run_cli, running
from tests.e2e.test_kill import ask

pytestmark = pytest.mark.xdist_group("e2e-tampering")


@pytest.fixture(scope="module")
def recorded(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """An installation that has recorded something, stopped again."""
    folder = tmp_path_factory.mktemp("recorded")
    configure(folder, provider.port, detect={"engine": "re"})
    with running(folder) as stack:
        for _ in range(5):
            anyio.run(ask, stack, "s")
    return stack


def tampered(stack: Stack, folder: Path, damage: Callable[[sqlite3.Connection], object]) -> Path:
    """A copy of the installation, damaged with nothing but SQL."""
    for name in ("wicket.yaml", "policy.yaml"):
        (folder / name).write_bytes((stack.folder / name).read_bytes())
    state = folder / ".wicket"
    state.mkdir(mode=0o700)
    for file in (stack.folder / ".wicket").iterdir():
        if file.is_file():
            (state / file.name).write_bytes(file.read_bytes())
            (state / file.name).chmod(0o600)
    with sqlite3.connect(next(state.glob("*.db"))) as database:
        damage(database)
    database.close()
    return folder


def test_a_whole_log_verifies(recorded: Stack) -> None:
    assert recorded.cli("audit", "verify")["checked"] >= 10


@pytest.mark.parametrize(
    ("damage", "seq"),
    [
        ("UPDATE audit_events SET body = replace(body, 'llm.generate', 'llm.generatf') WHERE seq = 6", 6),
        ("DELETE FROM audit_events WHERE seq = 6", 6),
        ("UPDATE audit_events SET tool = 'other' WHERE seq = 6", 6),
        ("UPDATE audit_events SET mac = hash WHERE seq = 6", 6),
    ],
)
def test_one_change_is_told_with_its_event(recorded: Stack, tmp_path: Path, damage: str, seq: int) -> None:
    folder = tampered(recorded, tmp_path, lambda database: database.execute(damage))
    done = run_cli(folder, "audit", "verify")
    assert done.returncode == 1
    assert f'"seq": {seq}' in done.stdout


def test_a_cut_tail_is_told_by_a_noted_head(recorded: Stack, tmp_path: Path) -> None:
    head = recorded.cli("audit", "verify")["head"]

    def cut(database: sqlite3.Connection) -> None:
        """Cut the tail off as somebody would who knows the tables: the head is moved back too."""
        last = database.execute("SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1 OFFSET 3").fetchone()
        database.execute("DELETE FROM audit_events WHERE seq > ?", (last[0],))
        database.execute("UPDATE audit_head SET seq = ?, hash = ?", last)

    folder = tampered(recorded, tmp_path, cut)
    assert run_cli(folder, "audit", "verify").returncode == 0
    assert run_cli(folder, "audit", "verify", "--head", head).returncode == 1


def test_an_empty_log_is_not_a_verified_one(recorded: Stack, tmp_path: Path) -> None:
    def empty(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM audit_events")
        database.execute("UPDATE audit_head SET seq = -1, hash = ?", ("0" * 64,))

    assert run_cli(tampered(recorded, tmp_path, empty), "audit", "verify").returncode == 2
