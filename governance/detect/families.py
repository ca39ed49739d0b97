"""The visible list: every family of detection rules there is. A new family is one file and one line here."""

from governance.detect import addresses, arguments, injection, pii, tokens
from governance.detect.rule import Rule


def all_families() -> tuple[Rule, ...]:
    """The rules of every family."""
    return (
        *pii.rules(),
        *tokens.rules(),
        *injection.rules(),
        *arguments.rules(),
        *addresses.rules(),
    )
