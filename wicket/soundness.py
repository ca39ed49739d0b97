"""Whether a configuration and its policies are sound: what must not load, and what its author should know."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from governance.config.document import ConfigError, Problem
from governance.config.load import inspect
from governance.config.models import Config
from governance.jsontree import JsonObject
from governance.policy.load import load as load_policy
from pipeline.doubts import doubts
from wicket.terminal import reveal


@dataclass(frozen=True)
class Soundness:
    """What was found."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def as_json(self) -> JsonObject:
        """For programs."""
        return {
            "ok": not self.problems,
            "problems": [asdict(problem) for problem in self.problems],
            "warnings": [asdict(warning) for warning in self.warnings],
        }

    def lines(self, sound: str) -> list[str]:
        """For people; `sound` is what they are told where nothing is wrong."""
        lines = [f"warning: {reveal(str(warning))}" for warning in self.warnings]
        lines += [f"error: {reveal(str(problem))}" for problem in self.problems]
        return lines if self.problems else [*lines, sound]


def soundness_of_file(config_file: Path) -> Soundness:
    """Whether a configuration file and the policies it names are sound."""
    try:
        reading = inspect(config_file)
    except ConfigError as error:
        return Soundness(error.problems)
    found = soundness_of(reading.config, map(Path, reading.config.policies))
    return Soundness(found.problems, (*reading.warnings, *found.warnings))


def soundness_of(config: Config, policies: Iterable[Path]) -> Soundness:
    """Whether some policies are sound under a configuration."""
    try:
        policy = load_policy(policies)
    except ConfigError as error:
        return Soundness(error.problems)
    return Soundness((), tuple(doubts(config, policy)))
