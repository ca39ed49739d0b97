"""What the aggregate remembers of lists: whose is what, within bounds."""

from mcp_proxy import aggregate_book
from mcp_proxy.aggregate import exposed
from mcp_proxy.aggregate_book import Book, Shelf

BOTH = ("a", "b")


def test_only_a_shortened_name_needs_the_book() -> None:
    book = Book()
    book.learn_names("tools", "a", ["plain", "odd.one"])
    assert book.find("tools", exposed("a", "odd.one"), BOTH) == ("a", "odd.one")
    assert book.find("tools", "a__plain", BOTH) is None
    assert book.find("prompts", exposed("a", "odd.one"), BOTH) is None
    assert book.find("tools", exposed("a", "odd.one"), ("b",)) is None


def test_a_uri_belongs_to_the_first_server_that_listed_it() -> None:
    book = Book()
    book.learn_uri("b", "note://x")
    assert book.home("note://x", BOTH) == "b"
    book.learn_uri("a", "note://x")
    assert book.home("note://x", BOTH) == "a"
    assert book.home("note://x", ("b",)) == "b"
    assert book.is_shadowed("note://x", "b", BOTH)
    assert not book.is_shadowed("note://x", "a", BOTH)
    assert not book.is_shadowed("note://x", "b", ("b",))


def test_a_listed_uri_outweighs_a_template_and_a_template_a_link() -> None:
    book = Book()
    book.learn_link("b", "note://x/1")
    assert book.home("note://x/1", BOTH) == "b"
    assert book.home("note://x/1", ("a",)) is None
    book.learn_template("a", "note://{any}/1")
    assert book.home("note://x/1", BOTH) == "a"
    assert book.home("note://{any}/1", BOTH) == "a"
    book.learn_uri("b", "note://x/1")
    assert book.home("note://x/1", BOTH) == "b"


def test_a_server_cannot_fill_the_memory() -> None:
    book = Book()
    for number in range(aggregate_book.MOST + 5):
        book.learn_uri("a", f"note://{number}")
        book.learn_template("a", f"item://{number}/{{x}}")
    for number in range(aggregate_book.MOST_LINKED + 5):
        book.learn_link("a", f"link://{number}")
    book.learn_link("a", "link://" + "x" * aggregate_book.MOST_CHARACTERS)
    book.learn_uri("b", "note://" + "x" * aggregate_book.MOST_CHARACTERS)
    assert book.home(f"note://{aggregate_book.MOST}", BOTH) is None
    assert book.home(f"item://{aggregate_book.MOST}/{{x}}", BOTH) is None
    assert book.home("link://0", BOTH) is None
    assert book.home("link://7", BOTH) == "a"
    assert book.home("link://" + "x" * aggregate_book.MOST_CHARACTERS, BOTH) is None
    assert book.home("note://" + "x" * aggregate_book.MOST_CHARACTERS, BOTH) is None


def test_a_change_makes_lists_count_as_unread() -> None:
    book = Book()
    book.listed |= {("tools/list", "a"), ("tools/list", "b")}
    book.forget_lists("a")
    assert book.listed == {("tools/list", "b")}


def test_a_shelf_keeps_the_books_that_are_used() -> None:
    shelf = Shelf(most=2)
    one = shelf.of(("1", "", ""))
    shelf.of(("2", "", ""))
    assert shelf.of(("1", "", "")) is one
    two = shelf.of(("3", "", ""))
    assert shelf.of(("1", "", "")) is one
    assert shelf.of(("3", "", "")) is two
