"""The database of the console's benchmark is one that Wicket itself could have made."""

from datetime import UTC, datetime
from pathlib import Path

from bench.console.databases import Workshop
from bench.console.pages import pages
from governance.audit.sources import verify_database
from tests.conftest import ManualClock
from tests.sessions.index.story import scene
from tests.sessions.index.test_follow import rows

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def test_its_index_is_what_is_read_out_of_its_log(tmp_path: Path, clock: ManualClock) -> None:
    shop = Workshop(tmp_path, (40, 900), bytes(32), NOW, lambda _: None)
    url, told = shop.sqlite()
    assert verify_database(url, key=bytes(32)).exit_code == 0
    assert shop.sqlite() == (url, told)  # made once
    async with scene(url, clock) as here:
        made = await rows(here)
        await here.index.clear()
        while await here.index.read_on(97):
            pass
        read = await rows(here)
        read["tallies"] = [row for row in read["tallies"] if row in made["tallies"] or row[2] != "minute"]
        assert {name: len(some) for name, some in read.items()} == {name: len(some) for name, some in made.items()}
        assert read == made
    assert len({page.address for page in pages(told, "t")}) > 40
