"""An installation and a home directory of its own, and the command line on them."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.wicket.conftest import Ran
from wicket.cli import main

CONFIG = "# mine\nmcp: {port: 8070}   # usual\n\nmcpServers:\n#  later: {}\n"
POLICY = "version: 1\ndefault: allow\n"


@dataclass(frozen=True)
class Place:
    """A machine with Wicket set up on it."""

    home: Path
    installation: Path
    monkeypatch: pytest.MonkeyPatch = field(repr=False)
    capsys: pytest.CaptureFixture[str] = field(repr=False)

    @property
    def config(self) -> Path:
        return self.installation / "wicket.yaml"

    def run(self, *arguments: str, environ: dict[str, str] | None = None) -> Ran:
        """A command in the installation, with this home directory and no other variables than those given."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        with self.monkeypatch.context() as patch:
            patch.chdir(self.installation)
            for name in os.environ:
                patch.delenv(name)
            for name, value in {**kept, "HOME": str(self.home), **(environ or {})}.items():
                patch.setenv(name, value)
            try:
                code = main(arguments)
            except SystemExit as left:
                code = int(left.code or 0)
        said = self.capsys.readouterr()
        return Ran(int(code), said.out, said.err)

    def everything(self) -> dict[str, bytes]:
        """Every file that is not the database's own business."""
        roots = (self.home, self.installation)
        return {
            str(path): path.read_bytes()
            for root in roots
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.name.startswith("wicket.db")
        }


Shown = Callable[[Ran], dict[str, Any]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    made = Place(tmp_path / "home", tmp_path / "installation", monkeypatch, capsys)
    made.home.mkdir()
    made.installation.mkdir()
    made.config.write_text(CONFIG)
    (made.installation / "policy.yaml").write_text(POLICY)
    ran = made.run("init")
    assert ran.code == 0, ran.err
    return made
