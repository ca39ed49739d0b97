"""The page on the log explains the events there are, and its verifier works."""

from collections.abc import Callable
from pathlib import Path

import pytest

from governance.audit import keys
from governance.audit.event import Draft, Tag
from governance.audit.log import Journal
from governance.audit.query import export
from governance.store import Store
from tests.governance.audit.appender import MASTER

PAGE = Path(__file__).parents[3] / "docs" / "audit.md"


@pytest.fixture
def published_verifier() -> Callable[..., str]:
    """The verifier printed in the page, which uses nothing of ours."""
    names: dict[str, Callable[..., str]] = {}
    exec(PAGE.read_text().partition("```python\n")[2].partition("```")[0], names)
    return names["verify"]


def test_the_page_explains_every_tag_and_no_other() -> None:
    events = PAGE.read_text().partition("## Events")[2].partition("\n## ")[0]

    assert [line.split("`")[1] for line in events.splitlines() if line.startswith("| `")] == [tag.value for tag in Tag]


async def test_the_printed_verifier_accepts_an_exported_log_and_finds_a_change(
    journal: Journal, store: Store, published_verifier: Callable[..., str]
) -> None:
    drafts = [Draft(Tag.EXCHANGE_ADMITTED, {"tool": f'quote " größer ☃ \x07 {number}'}) for number in range(5)]
    head = [await journal.append(draft) for draft in drafts][-1]
    lines = [line async for line in export(store)]

    assert published_verifier(lines, keys.derive(MASTER, keys.AUDIT_MAC)) == f"{head.seq}:{head.hash}"
    with pytest.raises(SystemExit, match="broken at event 2"):
        published_verifier([*lines[:2], lines[2].replace("größer", "kleiner"), *lines[3:]])
    with pytest.raises(SystemExit, match="forged at event 0"):
        published_verifier(lines, bytes(32))
