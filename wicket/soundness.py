"""Whether a configuration and its policies are sound: what must not load, and what its author should know."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from governance.config.document import ConfigError, Problem
from governance.config.load import inspect
from governance.config.models import Config
from governance.detect.families import all_families
from governance.jsontree import JsonObject
from governance.policy.lint import lint
from governance.policy.load import load as load_policy
from sessions.labels.book import Sources
from sessions.proposals import FINDINGS
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
    servers = {name: server.tools or None for name, server in config.mcp_servers.items()}
    kinds = {rule.kind for rule in all_families()}
    if config.providers:  # else no model is served, and nothing is compared with what one asked for
        kinds |= set(FINDINGS.values())
    return Soundness((), tuple(lint(policy, servers=servers, kinds=kinds, labels=Sources.of(config).all)))
