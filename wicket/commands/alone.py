"""`wicket stdio` where no MCP proxy runs that it could hand its pipes to. It has no command of its own."""

from functools import partial
from pathlib import Path

from governance.config.load import load
from wicket.command import Situation
from wicket.installation import check_installation
from wicket.logs import log_to_stderr
from wicket.running import run_loop
from wicket.stdio_process import wrap


def serve_alone(situation: Situation) -> int:
    """Open everything for one server, and serve its agent until either ends."""
    check_installation()
    log_to_stderr("stdio")
    config = load(Path(situation.options.config))
    return run_loop(partial(wrap, config, situation.options.server, situation.rest, situation.clock))
