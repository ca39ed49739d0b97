"""The page of servers also says whether people are told of what waits."""

from playwright.sync_api import Page, expect

from approvals.channels.kinds import routes
from approvals.webhook.store import SqlDeliveries
from governance.config.models import Config
from tests.console.conftest import Served

CHANNELS = {"ops": {"type": "slack", "url": "https://hooks.example.com/secret-canary"}}


def configured(served: Served) -> None:
    approvals = Config.model_validate({"approvals": {"channels": CHANNELS}}).approvals
    served.core.config = served.core.config.model_copy(update={"approvals": approvals})


def test_nothing_is_said_of_channels_where_there_is_none(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/console/servers")
    expect(page.get_by_role("heading", name="Where people are told")).to_have_count(0)


def test_a_channel_that_is_switched_off_is_seen(page: Page, served: Served) -> None:
    configured(served)
    page.goto(f"{served.url}/console/servers")
    row = page.locator("tr", has_text="slack")
    expect(row.locator(".pill")).to_have_text("nothing sent yet")
    (route,) = routes(served.core.config.approvals)
    served.portal.call(lambda: SqlDeliveries(served.core.store).disable(route.id, now=served.core.clock.now()))
    page.reload()
    expect(row.locator(".pill")).to_have_text("switched off")
    assert "canary" not in page.content()
