"""Goes through the console as its links lead: every page once, whatever pages there are."""

import re
from collections.abc import Iterator

from playwright.sync_api import Page

_NO_PAGE = ("/logout", "/static", "/login", "/api", "/export")
LINKS = "all => all.map(one => new URL(one.getAttribute('href'), location).href.split('#')[0])"
_WORDS = re.compile(r"[a-z]{2,16}")


def pages(page: Page, url: str, *, least: int) -> Iterator[str]:
    """Open every kind of page that links lead to, and give its path while it is open.

    Pages of things of one kind count as one: whose id stands in the path makes no difference.

    Raises:
        AssertionError: there are fewer than `least`, so something was not found.
    """
    waiting, seen = [f"{url}/console/"], {"/console/"}
    for address in waiting:
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        # Before it is used: whoever uses the page may change it.
        links = page.eval_on_selector_all("a[href]", LINKS)
        for link in links:
            path = link.removeprefix(url).partition("?")[0]
            if link.startswith(f"{url}/console/") and not any(one in path for one in _NO_PAGE):
                kind = "/".join(step if _WORDS.fullmatch(step) else "*" for step in path.split("/"))
                if kind not in seen and kind.replace("*", "") != "/console/":
                    seen.add(kind)
                    waiting.append(link)
        yield address.removeprefix(url)
    assert len(waiting) >= least, waiting
