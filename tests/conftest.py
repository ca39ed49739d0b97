"""Fixtures that every test may ask for: a free database of each kind, and time that a test drives."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from governance.clock import SystemClock

ON_CI = os.environ.get("CI") == "true"
# How fast examples are made says how busy the machine is, and nothing of what is tested.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
POSTGRES = os.environ.get("WICKET_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


@dataclass
class ManualClock:
    """A `governance.clock.Clock` that only moves when a test moves it."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 21, 12, 0, tzinfo=UTC))
    elapsed: float = 0.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.elapsed

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        self.elapsed += seconds


@dataclass
class RunningClock(ManualClock):
    """The machine's clock, for what others' programs look at too; a test may still move it on."""

    def now(self) -> datetime:
        return SystemClock().now() + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.elapsed


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A database of its own on the machine's Postgres, dropped afterwards. On CI a missing server is a failure."""
    try:
        server = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        if ON_CI:
            raise
        pytest.skip(f"no Postgres at hand: {error}")
    name = f"wicket_test_{uuid.uuid4().hex}"
    with server:
        server.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield POSTGRES.rpartition("/")[0] + "/" + name
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as again:
            again.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/wicket.db"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The same test on both databases."""
    return str(request.getfixturevalue(f"{request.param}_url"))
