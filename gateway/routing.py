"""Which provider serves a model: the first of the configuration whose wire and globs match.

It does no I/O; how a provider is called is `gateway/upstream.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import UnknownModelError
from gateway.providers import AUTH
from governance.config.models import Provider
from governance.policy.glob import Globs


@dataclass(frozen=True, slots=True)
class Target:
    """A provider, ready to be called."""

    name: str
    """Its name in the configuration."""
    wire: str
    base_url: str
    """Without a slash at its end."""
    headers: Mapping[str, str]
    """Its key and whatever else the configuration sends it."""
    secret: bytes
    """Its key, so that it can be kept out of what it answers."""
    models: Globs
    names: tuple[str, ...]
    """The globs as written."""


class Routes:
    """The providers in the order of the configuration."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.targets = tuple(_target(name, provider) for name, provider in providers.items())

    def choose(self, wire: str, model: str) -> Target:
        """The provider for a model.

        Raises:
            UnknownModelError: none of this wire serves it.
        """
        for target in self.targets:
            if target.wire == wire and target.models.match(model):
                return target
        raise UnknownModelError("no provider here serves this model: ask `GET /v1/models` for those that are")


def _target(name: str, provider: Provider) -> Target:
    own = {header.lower(): value for header, value in provider.headers.items()}
    return Target(
        name=name,
        wire=provider.wire,
        base_url=provider.base_url.rstrip("/"),
        headers={**own, **AUTH[provider.auth](provider.api_key)},
        secret=provider.api_key.encode(),
        models=Globs(provider.models),
        names=provider.models,
    )
