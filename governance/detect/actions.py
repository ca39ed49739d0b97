"""What happens to what is found: the action of each kind for each tenant.

Configured globs are laid over the defaults below, a tenant's over everybody's; within one layer the most exact wins.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from governance.config.models import Detect, FindingAction

DEFAULTS: Mapping[str, FindingAction] = {
    "*": "log",
    "pii.ssn": "redact",
    "pii.card": "redact",
    "pii.iban": "redact",
    "secret.*": "redact",
    "argument.*": "hold",
    "address.private": "hold",
    "address.metadata": "deny",
}
"""What happens where nothing is configured. Explained in `docs/detect.md`."""


class Actions:
    """The action of each kind, for everybody and for each tenant."""

    def __init__(self, config: Detect) -> None:
        self._config = config
        self._of = lru_cache(maxsize=4096)(self._resolve)

    def of(self, kind: str, tenant: str) -> FindingAction:
        """What happens when `kind` is found in an exchange of `tenant`."""
        return self._of(kind, tenant)

    def _resolve(self, kind: str, tenant: str) -> FindingAction:
        for layer in (self._config.tenants.get(tenant, {}), self._config.actions, DEFAULTS):
            glob = most_exact(layer, kind)
            if glob is not None:
                return layer[glob]
        return "log"


def most_exact(globs: Iterable[str], name: str) -> str | None:
    """The glob that names `name` most exactly, or None where none fits."""
    fitting = [glob for glob in globs if glob == name or fnmatchcase(name, glob)]
    return max(fitting, key=lambda glob: _exactness(glob, name)) if fitting else None


def _exactness(glob: str, kind: str) -> tuple[bool, int, str]:
    """How exactly a glob names a kind: the kind itself, then the most characters that are not wild."""
    return glob == kind, sum(char not in "*?[]" for char in glob), glob
