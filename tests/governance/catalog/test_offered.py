"""How many tools a server offers now, however many pages and clients its listings have."""

from governance.catalog.offered import LONGEST_CURSOR, MOST_OPEN, Offered
from governance.jsontree import Json


def test_the_count_is_that_of_the_last_whole_listing_and_may_fall() -> None:
    offered = Offered()
    assert offered.count("files") == 0
    offered.page("files", 7, None, None)
    assert offered.count("files") == 7
    offered.page("files", 2, None, None)
    assert (offered.count("files"), offered.count("other")) == (2, 0)


def test_pages_are_added_up_and_count_when_the_last_one_came() -> None:
    offered = Offered()
    offered.page("files", 3, None, "a")
    offered.page("files", 3, "a", "b")
    assert offered.count("files") == 0
    offered.page("files", 1, "b", None)
    assert offered.count("files") == 7


def test_clients_in_the_middle_of_a_listing_do_not_disturb_one_another() -> None:
    offered = Offered()
    for client in ("ann", "bob"):
        offered.page("files", 3, None, client)
    offered.page("files", 2, "ann", None)
    assert offered.count("files") == 5
    offered.page("files", 2, "bob", None)
    assert offered.count("files") == 5


def test_a_page_that_nobody_knows_the_beginning_of_says_nothing() -> None:
    offered = Offered()
    offered.page("files", 7, None, None)
    unknown: list[Json] = ["unknown", 3, {"a": 1}]
    for cursor in unknown:
        offered.page("files", 1, cursor, None)
    assert offered.count("files") == 7


def test_listings_that_never_end_are_forgotten() -> None:
    offered = Offered()
    for number in range(MOST_OPEN + 1):
        offered.page("files", 1, None, f"cursor {number}")
    offered.page("files", 1, "cursor 0", None)
    assert offered.count("files") == 0
    offered.page("files", 1, "cursor 1", None)
    assert offered.count("files") == 2
    offered.page("other", 1, None, "x" * (LONGEST_CURSOR + 1))
    offered.page("other", 1, "x" * (LONGEST_CURSOR + 1), None)
    assert offered.count("other") == 0
