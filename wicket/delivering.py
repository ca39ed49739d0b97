"""How a process brings approvals to MCP clients: the ladder, put together from the configuration."""

from mcp_proxy.delivery import Delivery
from mcp_proxy.ladder import Ladder
from mcp_proxy.sealing import Seal
from mcp_proxy.tasks.book import TaskBook
from pipeline.runtime import Runtime


def delivery_of(runtime: Runtime) -> Delivery:
    """The delivery of one process."""
    approvals = runtime.config.approvals
    seal = Seal(runtime.key_for)
    ladder = Ladder(
        seal,
        wait_seconds=approvals.wait_seconds,
        keeps_seconds=approvals.whole_seconds,
        in_band=bool(approvals.in_band),
        url_errors=approvals.url_errors,
        open_pages=approvals.open_pages,
        tasks=approvals.tasks,
    )
    book = TaskBook(seal, runtime.clock, approvals.whole_seconds)
    return Delivery(ladder, runtime.desk, runtime.clock, approvals.in_band, tasks=book)
