"""How processes log: one line an event, to standard error, in which no text of a client can make another line."""

import logging

from wicket.terminal import reveal

PACKAGES = ("approvals", "console", "gateway", "governance", "mcp_proxy", "pipeline", "sessions", "wicket")


class LineFormatter(logging.Formatter):
    """`2026-11-21T12:00:00 gateway WARNING policy: text`; a trace follows on lines that begin with a bar."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s {process} %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        """One event."""
        first, *trace = super().format(record).split("\n")
        return "\n".join([reveal(first), *(f"  | {reveal(line)}" for line in trace)])


def log_to_stderr(process: str) -> None:
    """Send our own news and everybody's warnings to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(process))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
