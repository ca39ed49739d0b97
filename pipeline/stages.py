"""The visible list: every check there is, in the order in which it is asked. Both proxies call `default_stages`."""

from dataclasses import dataclass

from governance.stage import Settling, Stage


@dataclass(frozen=True, slots=True)
class Organs:
    """One check of each kind, opened by the runtime."""

    kill: Stage
    identity: Stage
    catalog: Stage
    pins: Stage
    detect: Stage
    policy: Stage
    schema: Stage
    loop: Settling
    probation: Stage
    budget: Settling


@dataclass(frozen=True, slots=True)
class Stages:
    """The checks of each moment of an exchange."""

    request: tuple[Stage, ...]
    """Judge the request. A hold is acted upon only after all of them: nobody is asked about what would be refused."""
    rejudge: tuple[Stage, ...]
    """Judge again what a person approved: while it waited, a key may have been revoked or a policy changed."""
    execution: tuple[Stage, ...]
    """The last gate before anything is forwarded."""
    response: tuple[Stage, ...]
    """Judge the response."""
    message: tuple[Stage, ...]
    """Judge what passes besides requests and their responses, either way (`pipeline/inspection.py`)."""

    settling: tuple[Settling, ...]
    """Those that must close what they began, whatever becomes of the exchange."""


def default_stages(organs: Organs) -> Stages:
    """Kill, Identity, Catalog, Pins, Detect, Policy, Schema, Loop, Probation | hold | Kill, Budget.

    On the response Kill, Detect, Policy, Schema, Loop: what is held to a schema is what is left after redaction.

    Of messages that are no exchange: Kill, Identity, Detect, Policy.
    """
    o = organs
    return Stages(
        request=(o.kill, o.identity, o.catalog, o.pins, o.detect, o.policy, o.schema, o.loop, o.probation),
        rejudge=(o.kill, o.identity, o.pins, o.policy),
        execution=(o.kill, o.budget),
        response=(o.kill, o.detect, o.policy, o.schema, o.loop),
        message=(o.kill, o.identity, o.detect, o.policy),
        settling=(o.loop, o.budget),
    )
