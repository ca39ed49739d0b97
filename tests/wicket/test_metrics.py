"""`/metrics`: what is counted, who may read it, and that it says nothing else."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from governance.audit.event import AuditError, Draft, Tag
from governance.clock import SystemClock
from governance.exchange import Body, Exchange
from governance.health.report import Report
from governance.identity.directory import UnknownKeyError
from governance.identity.keys import Grant, KeyRole, mint
from governance.jsontree import JsonObject
from governance.stage import RefusedError
from governance.store import Work
from mcp_proxy.errors import render
from pipeline.border import AsgiScope, BadRequestError, Receive, Send
from tests.mcp_proxy.harness import serving
from tests.pipeline.world import SECRETS, World, open_world
from wicket.metrics import with_metrics

RULES: JsonObject = {
    "version": 1,
    "default": "allow",
    "rules": [
        {"id": "no", "match": {"tool": "rm"}, "decide": "deny", "reason": "no"},
        {"id": "ask", "match": {"tool": "write"}, "decide": "hold", "reason": "ask"},
    ],
}
FILES = Report("files", transport="stdio", state="failing", starts=3, restarts=2, failures=1, tools=7)
LOCAL: JsonObject = {"local": True}
Numbers = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


@contextlib.asynccontextmanager
async def metered(
    folder: Path, refused: list[BadRequestError] | None = None, metrics: JsonObject = LOCAL
) -> AsyncGenerator[tuple[World, str]]:
    """A world whose front answers nothing but `/metrics`, on a port of its own."""

    async def front(scope: AsgiScope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def record(path: str, problem: BadRequestError) -> None:
        if refused is not None:
            refused.append(problem)

    settings: JsonObject = {"approvals": {"wait_seconds": 0}, "metrics": metrics}
    async with open_world(f"sqlite:///{folder}/wicket.db", folder, SystemClock(), RULES, **settings) as world:
        app = with_metrics(front, world.runtime, render, record, lambda: [FILES])
        async with serving(app) as url:
            yield world, url


async def scrape(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(
            f"{url}/metrics", headers={name.replace("_", "-"): text for name, text in headers.items()}
        )


def numbers(text: str) -> Numbers:
    """What Prometheus itself makes of the page."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


async def through(world: World, exchange: Exchange) -> None:
    async def forward(judged: Exchange) -> Body:
        return Body({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})

    with contextlib.suppress(RefusedError):
        await world.runtime.guard.govern(exchange, forward)


async def test_what_was_decided_and_how_it_ended_is_counted(tmp_path: Path) -> None:
    async with metered(tmp_path) as (world, url):
        await through(world, world.call("read"))
        await through(world, world.call("read", secret="canary-value"))
        await through(world, world.call("rm"))
        await through(world, world.call("write"))
        answer = await scrape(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = numbers(answer.text)
    assert found[labelled("wicket_exchanges_total", action="tool.call", decision="allow")] == 2
    assert found[labelled("wicket_exchanges_total", action="tool.call", decision="deny")] == 2
    assert found[labelled("wicket_exchange_endings_total", action="tool.call", status="ok")] == 2
    assert found[labelled("wicket_holds_total", outcome="pending")] == 1
    assert found[labelled("wicket_holds_waiting")] == 0
    assert found[labelled("wicket_added_seconds_count")] == 4
    assert 0 < found[labelled("wicket_added_seconds_sum")] < 60
    assert found[labelled("wicket_added_seconds_bucket", le="+Inf")] == 4
    assert "process_resident_memory_bytes" in answer.text
    assert "canary" not in answer.text


async def test_a_call_whose_client_leaves_while_its_decision_is_written_is_counted_once(tmp_path: Path) -> None:
    async with metered(tmp_path) as (world, url):
        with anyio.CancelScope() as scope:
            call = world.call("read")
            sign = world.runtime.roll.sign

            def leave(exchange: Exchange) -> Work[None] | None:
                scope.cancel()
                return sign(exchange)

            world.runtime.roll.sign = leave  # pyright: ignore[reportAttributeAccessIssue] - for the moment of writing
            await through(world, call)
        assert scope.cancelled_caught
        found = numbers((await scrape(url)).text)
    decided = {
        dict(labels)["decision"]: count for (name, labels), count in found.items() if name == "wicket_exchanges_total"
    }
    assert decided == {"allow": 1}
    assert found[labelled("wicket_exchange_endings_total", action="tool.call", status="cancelled")] == 1


async def test_the_health_of_servers_is_told(tmp_path: Path) -> None:
    async with metered(tmp_path) as (_, url):
        found = numbers((await scrape(url)).text)
    states = {
        state: found[labelled("wicket_server_state", server="files", state=state)] for state in ("ready", "failing")
    }
    assert states == {"ready": 0, "failing": 1}
    assert found[labelled("wicket_server_restarts_total", server="files")] == 2
    assert found[labelled("wicket_server_starts_total", server="files")] == 3
    assert found[labelled("wicket_server_tools", server="files")] == 7


async def test_an_event_that_is_not_durable_is_counted(tmp_path: Path) -> None:
    async with metered(tmp_path) as (world, url):
        with pytest.raises(AuditError):
            await world.runtime.audit.append(Draft(Tag.EXCHANGE_ADMITTED, {"at": "a field of the log's own"}))
        assert numbers((await scrape(url)).text)[labelled("wicket_audit_failures_total")] == 1


async def test_every_other_path_is_the_fronts(tmp_path: Path) -> None:
    async with metered(tmp_path) as (_, url), httpx.AsyncClient(trust_env=False) as client:
        for path in ("/", "/metrics/", "/metricsx", "/v1/metrics"):
            assert (await client.get(url + path)).status_code == 418
        assert (await client.post(f"{url}/metrics")).status_code == 405


async def test_a_token_is_needed_even_on_this_machine_because_a_proxy_on_it_may_look_like_it(tmp_path: Path) -> None:
    refused: list[BadRequestError] = []
    async with metered(tmp_path, refused, metrics={}) as (_, url):
        assert (await scrape(url)).status_code == 401
        assert (await scrape(url, authorization=f"Bearer {SECRETS.admin_token}")).status_code == 200
    assert [problem.code for problem in refused] == ["unauthenticated"]


async def test_the_token_of_the_metrics_opens_them_and_nothing_else(tmp_path: Path) -> None:
    token = "m" * 40
    async with metered(tmp_path, metrics={"token": token}) as (world, url):
        assert (await scrape(url, authorization=f"Bearer {token}")).status_code == 200
        assert (await scrape(url, authorization=f"bearer  {token}", x_forwarded_for="203.0.113.9")).status_code == 200
        for wrong in (f"Bearer {token}x", f"Bearer {token[:-1]}", "Bearer", "", f"Basic {token}"):
            assert (await scrape(url, authorization=wrong)).status_code == 401
        assert (await scrape(url, authorization=f"Bearer {token}", x_api_key=token)).status_code == 401
        for ask in (world.runtime.identity.key, world.runtime.identity.person):
            with pytest.raises(UnknownKeyError):
                ask(token)


async def test_without_a_token_of_the_metrics_an_empty_one_opens_nothing(tmp_path: Path) -> None:
    async with metered(tmp_path, metrics={}) as (_, url):
        for empty in ("", "Bearer", "Bearer,"):
            assert (await scrape(url, authorization=empty)).status_code == 401


async def test_what_comes_through_a_proxy_needs_the_token_of_an_administrator(tmp_path: Path) -> None:
    refused: list[BadRequestError] = []
    async with metered(tmp_path, refused) as (world, url):
        for header in ("forwarded", "via", "x_forwarded_for", "x_forwarded_host", "x_real_ip"):
            assert (await scrape(url, **{header: "203.0.113.9"})).status_code == 401
        assert {problem.code for problem in refused} == {"unauthenticated"}
        token = f"Bearer {SECRETS.admin_token}"
        assert (await scrape(url, x_forwarded_for="203.0.113.9", authorization=token)).status_code == 200
        minted = {role: mint(Grant(role, tenant="t"), world.runtime.clock.now()) for role in KeyRole}
        for one in minted.values():
            await world.runtime.keys.add(one.key, actor="test")
        await world.runtime.identity.refresh()
        status = {
            role: (await scrape(url, authorization=f"Bearer {one.token}")).status_code for role, one in minted.items()
        }
    assert status == {role: 200 if role is KeyRole.ADMIN else 401 for role in KeyRole}


async def test_what_was_sent_as_a_credential_is_tried_as_one_even_from_this_machine(tmp_path: Path) -> None:
    async with metered(tmp_path) as (_, url):
        for header in ({"authorization": "Bearer wrong"}, {"authorization": "Basic x"}, {"x_api_key": "wrong"}):
            assert (await scrape(url, **header)).status_code == 401


async def test_a_host_that_is_not_ours_and_a_page_of_another_site_are_told_nothing(tmp_path: Path) -> None:
    async with metered(tmp_path) as (_, url):
        assert (await scrape(url, host="evil.test")).status_code == 421
        assert (await scrape(url, origin="http://evil.test")).status_code == 403


async def test_every_metric_is_explained(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    async with metered(tmp_path) as (_, url):
        families = [one.name for one in text_string_to_metric_families((await scrape(url)).text)]
    assert [name for name in families if name.startswith("wicket_") and f"`{name}" not in page] == []
    assert len(families) > 10
