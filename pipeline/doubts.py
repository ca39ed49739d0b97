"""What is doubtful in a policy under a configuration: the lint, told what this installation has and finds.

What each warning is stands in `governance/policy/lint.py`; who shows them are `wicket check` and the console.
"""

from governance.config.document import Problem
from governance.config.models import Config
from governance.detect.families import all_families
from governance.policy.engine import Policy
from governance.policy.lint import lint
from sessions.labels.book import Sources
from sessions.proposals import FINDINGS


def doubts(config: Config, policy: Policy) -> list[Problem]:
    """Every doubtful thing, in the order of the files."""
    servers = {name: server.tools or None for name, server in config.mcp_servers.items()}
    kinds = {rule.kind for rule in all_families()}
    if config.providers:  # else no model is served, and nothing is compared with what one asked for
        kinds |= set(FINDINGS.values())
    return lint(policy, servers=servers, kinds=kinds, labels=Sources.of(config).all)
