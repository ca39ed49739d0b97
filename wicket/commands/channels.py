"""`wicket channels`: where people are told of calls that wait, and whether a message arrives there."""

from pathlib import Path

import anyio

from approvals.channels.kinds import routes
from approvals.webhook.courier import ATTEMPT_SECONDS
from approvals.webhook.message import mint_message
from approvals.webhook.resolving import resolve
from approvals.webhook.route import Answer, Delivery, Outcome, Route
from approvals.webhook.standing import Standing, standings
from governance.clock import Clock
from governance.config.load import load
from governance.config.models import Config
from governance.jsontree import Json
from wicket.addresses import console_address
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, in_office
from wicket.terminal import reveal, table

_COLUMNS = ("name", "kind", "state", "waiting", "given_up", "delivered_at")


def list_channels(situation: Situation) -> Exit:
    """List the webhooks and channels, and how it stands with each."""

    async def work(office: Office) -> list[Standing]:
        return standings(office.routes, await office.deliveries.counted())

    rows = [one.as_json() for one in in_office(situation, work)]
    nothing = "nobody is told of what waits: add `approvals.channels` to the configuration"
    situation.terminal.show(list(rows), table(rows, _COLUMNS, nothing))
    return Exit.DONE


def test(situation: Situation) -> Exit:
    """Send one message, and say what the receiver answered. Nothing is kept, and nothing is tried again."""
    name, config = str(situation.options.name), load(Path(situation.options.config))
    route = _route(config, name)
    with situation.terminal.progress(f"sending a message to `{name}`"):
        answer = anyio.run(_tried, route, config, situation.clock)
    delivered = answer.outcome is Outcome.DELIVERED
    value: dict[str, Json] = {
        "channel": name,
        "kind": route.kind,
        "delivered": delivered,
        "code": answer.code,
        "answer": answer.text,
    }
    said = f"{answer.code or ''} {answer.text}".strip() or "nothing more"
    situation.terminal.show(value, f"{'delivered' if delivered else 'NOT delivered'}: {reveal(said)}")
    return Exit.DONE if delivered else Exit.UNAVAILABLE


def _route(config: Config, name: str) -> Route:
    found = {one.name: one for one in routes(config.approvals)}
    if name not in found:
        there = ", ".join(f"`{one}`" for one in found) or "none: add `approvals.channels`"
        raise CommandError(Exit.ABSENT, f"there is no channel `{reveal(name)}`; there is {there}")
    return found[name]


async def _tried(route: Route, config: Config, clock: Clock) -> Answer:
    now, address = clock.now(), console_address(config)
    delivery = Delivery(mint_message(), route.id, route.trial(now, address), 0, now)
    return await route.send(delivery, now=now, seconds=ATTEMPT_SECONDS, resolver=resolve)


_NAME = argument("name", help="name of the channel in the configuration, or `webhooks[0]`")

COMMANDS = (
    Command("channels list", "list where people are told, what arrived, and what waits or fails", list_channels),
    Command(
        "channels test",
        "send a message to a channel, and say what its receiver answered",
        test,
        (_NAME,),
        {
            Exit.ABSENT: "there is no such channel",
            Exit.UNAVAILABLE: "the message was not taken; what the receiver answered is said",
        },
    ),
)
