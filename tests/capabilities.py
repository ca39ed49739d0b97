"""Makes `docs/capabilities.md` from the table of capabilities: `python -m tests.capabilities`."""

from pathlib import Path

from tests.requirements import REQUIREMENTS

PAGE = Path(__file__).resolve().parent.parent / "docs/capabilities.md"
INTRO = """# Capabilities

Made by `make docs` from `tests/requirements.py`. A row stands here only when tests show it through the running product.

| id | what Wicket does | shown by |
|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    rows = [
        f"| {capability} | {shown.what} | {'<br>'.join(_linked(test) for test in shown.tests)} |"
        for capability, shown in REQUIREMENTS.items()
    ]
    return INTRO + "\n".join(rows) + "\n"


def _linked(test: str) -> str:
    file, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{file})"


if __name__ == "__main__":
    PAGE.write_text(page())
