"""What a wrapped server is served with, in whichever process that happens: its wrapper's own, or the MCP proxy.

Which of the two it is stands in `handover.py`; the relaying itself is `mcp_proxy/wrapper.py`.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from governance.exchange import Principal
from governance.identity.directory import IdentityStaleError, UnknownKeyError
from mcp_proxy.eras import ParamHeaders
from mcp_proxy.link import Server
from mcp_proxy.message import MalformedMessageError
from mcp_proxy.pinning import Pinning
from mcp_proxy.relay import Relay
from mcp_proxy.task_notices import Notices
from mcp_proxy.tasks.counter import Counter
from mcp_proxy.tasks.runner import Runner
from mcp_proxy.wrapper import Organs, no_tasks
from pipeline.border import BadRequestError
from pipeline.runtime import Runtime
from wicket.delivering import delivery_of
from wicket.exits import CommandError, Exit
from wicket.handover import KEY_VARIABLE
from wicket.refusals import record_refused

_HERE = "127.0.0.1"
"""An agent that starts a wrapper is on this machine."""


def organs_for(runtime: Runtime, name: str, key: str | None) -> Organs:
    """What one wrapped server is served with.

    Args:
        runtime: everything that is open.
        name: what policies and the log call the server.
        key: the gateway key that the agent's configuration gives.

    Raises:
        CommandError: the key is not valid.
    """
    rules = ParamHeaders(runtime.catalog)
    refused = record_refused(runtime, "mcp")

    async def record(error: MalformedMessageError) -> None:
        await refused(name, BadRequestError(400, "malformed", str(error)))

    delivery = delivery_of(runtime)
    counter = None if delivery.tasks is None else Counter(delivery.tasks, runtime.desk, runtime.clock)
    relay = Relay(
        runtime.guard,
        runtime.kills,
        runtime.catalog,
        runtime.clock,
        rules,
        runtime.config.limits.upstream_seconds,
        runtime.roll.place,
        delivery=delivery,
        pins=Pinning(runtime.pins, runtime.catalog),
        counter=counter,
    )

    def making(servers: Mapping[str, Server]) -> AbstractAsyncContextManager[None]:
        if delivery.tasks is None:
            return no_tasks(servers)
        return Runner(delivery.tasks, runtime.desk, relay, servers, runtime.clock).running()

    carrier = relay if delivery.tasks is None else Notices(relay, delivery.tasks)
    return Organs(carrier, rules, _principal(runtime, key), runtime.config.limits, record, making)


def _principal(runtime: Runtime, key: str | None) -> Principal:
    try:
        return runtime.identity.principal(key, peer=_HERE)
    except (UnknownKeyError, IdentityStaleError) as error:
        raise CommandError(
            Exit.CONFIG, f"{error}; set `{KEY_VARIABLE}` in the agent's configuration of this server"
        ) from None
