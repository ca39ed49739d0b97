"""A family of detection rules: the case numbers of a support desk, such as `CASE-2024-001234-8`.

What happens when one is found is set in the configuration, under `detect.actions`.
"""

from governance.detect.rule import Rule


def sound(number: str) -> bool:
    """Whether the last digit is the sum of the others, modulo ten, so that not every such text is taken for a case."""
    *digits, last = (int(char) for char in number if char.isdigit())
    return sum(digits) % 10 == last


def rules() -> tuple[Rule, ...]:
    """The one rule of this family."""
    return (
        Rule(
            id="company.case_number",
            kind="company.case",
            pattern=r"CASE-\d{4}-\d{6}-\d",
            before=r"(?<![\w-])",
            after=r"(?![\w-])",
            check=sound,
            width=18,
        ),
    )
