"""The collector rests while a command is loaded, and works while it runs."""

import subprocess
import sys
from pathlib import Path

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


def test_a_module_that_is_run_is_the_command() -> None:
    command = [sys.executable, "-m", "wicket", "nonsense"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "invalid choice: 'nonsense'" in ran.stderr
