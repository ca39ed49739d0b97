"""`wicket gateway`: the LLM proxy and the console, one process in the foreground."""

from wicket.command import Command, Situation
from wicket.commands.serving import ARGUMENTS, EXITS, serve_in_foreground
from wicket.gateway_process import GATEWAY


def gateway(situation: Situation) -> int:
    """Serve the LLM proxy and the console."""
    return serve_in_foreground(situation, GATEWAY)


COMMANDS = (Command("gateway", "run the LLM proxy and the console in the foreground", gateway, ARGUMENTS, EXITS),)
