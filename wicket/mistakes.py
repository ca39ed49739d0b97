"""What a person is told when a command cannot go on. Loaded when that has happened, by `cli.py`."""

from governance.config.load import ConfigError
from governance.config.secrets import SecretsError
from wicket.exits import CommandError, Exit
from wicket.installation import InstallationError


def explain(error: Exception) -> tuple[list[str], Exit]:
    """What a person is told about an error, and the exit code."""
    match error:
        case ConfigError() as refused:
            return [str(problem) for problem in refused.problems], Exit.CONFIG
        case SecretsError() | InstallationError() as refused:
            return [str(refused)], Exit.CONFIG
        case CommandError() as refused:
            return [str(refused)], refused.exit_code
        case _:
            return [
                "this is a mistake of Wicket: run again with `WICKET_DEBUG=1` and report what it says"
            ], Exit.INTERNAL
