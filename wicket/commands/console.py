"""`wicket console`: the console and its API by themselves, one process in the foreground."""

from pathlib import Path

from governance.config.load import load
from wicket.command import Command, Situation, argument
from wicket.commands.serving import EXITS
from wicket.console_process import CONSOLE, own_address
from wicket.exits import Exit
from wicket.installation import check_installation
from wicket.logs import log_to_stderr
from wicket.running import run_loop
from wicket.serve import serve
from wicket.supervisor import bind


def console(situation: Situation) -> int:
    """Serve the console until a signal comes."""
    options = situation.options
    check_installation()
    log_to_stderr(CONSOLE.name)
    config = load(Path(options.config))
    port = config.console.port if options.port is None else options.port
    listener = bind(config.console.host, port, "console.port")
    moved = config.console.model_copy(update={"port": int(listener.getsockname()[1])})
    config = config.model_copy(update={"console": moved})
    situation.terminal.say(
        f"console listens on {moved.host}:{moved.port}, and is found at {own_address(config)}/console/"
    )

    async def run() -> int:
        await serve(CONSOLE, config, listener, situation.clock)
        return Exit.DONE

    return run_loop(run)


COMMANDS = (
    Command(
        "console",
        "run the console and its API by themselves, in the foreground",
        console,
        (argument("--port", type=int, metavar="PORT", help="port instead of the configured one"),),
        EXITS,
    ),
)
