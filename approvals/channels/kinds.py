"""The list of all kinds of channels, and every route of a configuration."""

from collections.abc import Mapping
from types import MappingProxyType

from approvals.channels.channel import Channel
from approvals.channels.email import Email
from approvals.channels.slack import Slack
from approvals.channels.teams import Teams
from approvals.webhook.endpoint import endpoints
from approvals.webhook.route import Route
from governance.config.models import Approvals

KINDS: Mapping[str, type[Channel]] = MappingProxyType({"slack": Slack, "teams": Teams, "email": Email})
"""By `type` in the configuration."""


def routes(settings: Approvals) -> list[Route]:
    """Every way by which somebody is told: the webhooks, then the channels.

    Raises:
        ValueError: the secret of a webhook is none.
    """
    channels = (KINDS[one.type](name, one) for name, one in settings.channels.items())
    return [*endpoints(settings), *channels]
