"""The collector rests while a command is loaded, and works while it runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STARTED = """
import gc
import sys

from wicket.start import main

passes = []
gc.callbacks.append(lambda phase, _info: passes.append(gc.get_freeze_count()))
sys.argv = ["wicket", "gateway", "--config", sys.argv[1]]
code = main()
print(code, gc.isenabled(), gc.get_freeze_count() > 50_000, 0 in passes)
"""


def test_nothing_is_collected_before_all_is_loaded_and_the_collector_works_afterwards(tmp_path: Path) -> None:
    (tmp_path / "wicket.yaml").write_text("gatway: {}")
    command = [sys.executable, "-c", STARTED, str(tmp_path / "wicket.yaml")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "3 True True False\n"
    assert "`gatway` is not a known setting" in ran.stderr


@pytest.mark.parametrize("command", [["stdio", "--server", "files", "--", "true"], ["mcp"], ["doctor"]], ids="_".join)
def test_a_strangers_package_in_place_of_ours_is_told_in_a_sentence(tmp_path: Path, command: list[str]) -> None:
    stranger = tmp_path / "mcp_proxy"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("")
    started = [sys.executable, "-m", "wicket", *command]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        started, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, input=""
    )
    assert ran.returncode == 3
    assert ran.stderr.startswith(f"error: the package `mcp_proxy` in `{stranger}` is not Wicket's")
    assert ran.stderr.count("\n") == 1


def test_a_module_that_is_run_is_the_command() -> None:
    command = [sys.executable, "-m", "wicket", "nonsense"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "invalid choice: 'nonsense'" in ran.stderr
