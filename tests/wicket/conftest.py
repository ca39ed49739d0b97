"""An installation in an empty directory, and the command line to try on it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from governance.clock import SystemClock
from governance.config.load import load
from wicket.cli import main
from wicket.office import Office, open_office

T = TypeVar("T")

CONFIG = "gateway: {port: 0}\nmcp: {port: 0}\n"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Wicket = Callable[..., Ran]


@pytest.fixture
def wicket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Wicket:
    """Runs a command in an empty directory, inside this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WICKET_CONFIG", raising=False)

    def run(*arguments: str) -> Ran:
        try:
            code = main(arguments)
        except SystemExit as left:
            code = int(left.code or 0)
        said = capsys.readouterr()
        return Ran(int(code), said.out, said.err)

    return run


@pytest.fixture
def installed(wicket: Wicket, tmp_path: Path) -> Path:
    """A directory in which everything is set up."""
    (tmp_path / "wicket.yaml").write_text(CONFIG)
    (tmp_path / "policy.yaml").write_text("version: 1\ndefault: allow\n")
    assert wicket("init").code == 0
    return tmp_path


def in_office(work: Callable[[Office], Awaitable[T]]) -> T:
    """Does something with the records of the installation in the working directory."""

    async def run() -> T:
        async with open_office(load(Path("wicket.yaml")), SystemClock()) as office:
            return await work(office)

    return anyio.run(run)
