"""The list of events is closed and explained."""

from pathlib import Path

import pytest

from governance.audit.event import Tag

PAGE = Path(__file__).parents[3] / "docs" / "audit.md"


@pytest.mark.parametrize("tag", list(Tag))
def test_every_tag_is_explained_in_the_docs(tag: Tag) -> None:
    assert f"| `{tag.value}` |" in PAGE.read_text()


def test_the_docs_explain_no_tag_that_does_not_exist() -> None:
    told = {
        line.split("`")[1]
        for line in PAGE.read_text().partition("## Events")[2].partition("\n## ")[0].splitlines()
        if line.startswith("| `")
    }

    assert told == {tag.value for tag in Tag}
