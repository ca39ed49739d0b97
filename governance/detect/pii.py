"""Personal data: numbers with a checksum or a strict shape, e-mail addresses, phone numbers.

What has no checksum and no telling shape needs a word beside it (`context`). Names, addresses and dates of birth are
not looked for: no pattern tells them from other text.
"""

import re
from collections.abc import Callable, Iterable

from governance.detect.rule import Rule

_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
"""Length by country, from the SWIFT IBAN registry."""

# First digits and lengths of the card networks. Maestro (50, 56-69) is left out: without a word beside it, one number
# in ten of its range and lengths would pass for a card.
_NETWORKS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}|(?:30[0-5]|36\d|38\d|39\d)\d{11,16}|35(?:2[89]|[3-8]\d)\d{12,15}|62\d{14,17}"
)
_DATE = re.compile(r"(?:19|20)\d\d[ .-][01]\d[ .-][0-3]\d|[0-3]\d[ .-][0-3]\d[ .-](?:19|20)\d\d\Z|(?:19|20)\d{6}\Z")
_DIGITS = re.compile(r"\d+")
_SHORTEST_CARD, _LONGEST_CARD = 12, 19
_WIDEST_CARD, _WIDEST_IBAN = 2 * _LONGEST_CARD - 1, 67
"""The longest of each, written with a gap after every character."""
_CARD_WORDS = r"\b(?:card|credit|debit|visa|master ?card|maestro|amex|pan|cc)\b"
_SSN_WORDS = r"\b(?:ssn|social[ _-]?sec\w*|soc[ .]?sec|tax(?:payer)?[ _-]?id)"
_PHONE_WORDS = r"\b(?:phone|tel|telephone|mobile|cell|call|fax|whats ?app|sms|text me|reach me)\b"

_CALLING_CODES = re.compile(
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[1-8]|2[2-6]\d|29[0-9]|3[578]\d|42[0-9]|50\d|59\d"
    r"|6[789]\d|80[08]|85[02356]|88[0268]|96\d|97\d|99\d"
)
_FILE_ENDINGS = frozenset(
    (
        *(
            "png",
            "jpg",
            "jpeg",
            "gif",
            "svg",
            "webp",
            "ico",
            "bmp",
            "css",
            "scss",
            "js",
            "mjs",
            "ts",
            "tsx",
            "jsx",
            "py",
        ),
        *(
            "pyi",
            "md",
            "json",
            "yaml",
            "yml",
            "toml",
            "txt",
            "html",
            "htm",
            "xml",
            "sh",
            "rs",
            "go",
            "java",
            "rb",
            "php",
        ),
        *(
            "c",
            "h",
            "cpp",
            "hpp",
            "pdf",
            "zip",
            "gz",
            "tar",
            "lock",
            "log",
            "map",
            "wasm",
            "mp3",
            "mp4",
            "webm",
            "woff",
        ),
    )
)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: from the right, every second digit doubled and its digits summed."""
    total = sum(int(one) for one in digits[-1::-2])
    total += sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(one)] for one in digits[-2::-2])
    return total % 10 == 0


def card(digits: str) -> bool:
    """Whether digits are a payment card number of a known network."""
    return _NETWORKS.fullmatch(digits) is not None and len(set(digits)) > 1 and luhn(digits)


def card_by_luhn(digits: str) -> bool:
    """Whether digits could be any payment card number: for where a word beside them says so."""
    return 12 <= len(digits) <= 19 and len(set(digits)) > 1 and luhn(digits)


def iban(text: str) -> bool:
    """ISO 13616: the country's length, and 97 divides the number plus 96 (the first four characters moved back)."""
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(one, 36)) for one in text[4:] + text[:4])) % 97 == 1


def ssn(text: str) -> bool:
    """The rules of the Social Security Administration for a number that could have been given out."""
    digits = re.sub(r"\D", "", text)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000":
        return False
    return digits not in ("078051120", "219099999") and len(set(digits)) > 1


def email(text: str) -> bool:
    """Whether an address-shaped text is one: not a file name with an `@`, not the user of a git remote."""
    local, _, domain = text.rpartition("@")
    ending = domain.rpartition(".")[2].lower()
    if ending in _FILE_ENDINGS or ".." in local or local.endswith(".") or local == "git":
        return False
    return not any(label.endswith("-") for label in domain.split("."))


def phone(text: str) -> bool:
    """Whether a number in international form starts with a calling code (ITU-T E.164) and has a possible length."""
    digits = re.sub(r"\D", "", text)
    return 8 <= len(digits) <= 15 and len(set(digits)) > 2 and _CALLING_CODES.match(digits) is not None


def phone_in_words(text: str) -> bool:
    """Whether digits could be a phone number, and not a date: for where a word beside them says so."""
    if _DATE.match(text):
        return False
    digits = re.sub(r"\D", "", text)
    return 7 <= len(digits) <= 15 and len(set(digits)) > 2


def find_card(run: str) -> tuple[int, int] | None:
    """The card number inside a run of digit groups, which may hold an expiry date or a code besides."""
    return _find_number(run, card)


def find_card_in_words(run: str) -> tuple[int, int] | None:
    """As `find_card`, for where a word beside the run says that it is a card."""
    return _find_number(run, card_by_luhn)


def _find_number(run: str, check: Callable[[str], bool]) -> tuple[int, int] | None:
    """The first stretch of whole digit groups, all parted in the same way, that passes the check."""
    groups = [group.span() for group in _DIGITS.finditer(run)]
    if len(groups) == 1:
        return (0, len(run)) if check(run) else None
    for first, (start, _) in enumerate(groups):
        digits, parted = "", ""
        for begin, end in groups[first:]:
            parted = parted or run[begin - 1] if digits else ""
            if (digits and run[begin - 1] != parted) or len(digits) + end - begin > _LONGEST_CARD:
                break
            digits += run[begin:end]
            if len(digits) >= _SHORTEST_CARD and check(digits):
                return start, end
        if len(digits) == len(groups):
            break  # digits one by one: where they start is anybody's guess, so only the whole run counts
    return None


def find_iban(run: str) -> tuple[int, int] | None:
    """The IBAN at the start of a run of capital letters and digits, as long as its country says."""
    length = _IBAN_LENGTHS.get(run[:2], 0)
    taken = 0
    for offset, char in enumerate(run):
        taken += char not in " -"
        if taken == length:
            end = offset + 1
            ends_well = end == len(run) or run[end] in " -"
            return (0, end) if ends_well and iban(re.sub(r"[ -]", "", run[:end])) else None
    return None


def _cards(alone: str, done: str) -> Iterable[Rule]:
    digits = r"\d(?:[ -]?\d){11,39}"
    return (
        Rule(
            "pii.card",
            "pii.card",
            digits,
            alone,
            done,
            narrow=find_card,
            longest=_WIDEST_CARD,
            gate=r"\b[2-6](?:[ -]?\d){12}",
        ),
        Rule(
            "pii.card.in_words",
            "pii.card",
            digits,
            alone,
            done,
            narrow=find_card_in_words,
            longest=_WIDEST_CARD,
            context=_CARD_WORDS,
        ),
    )


def rules() -> Iterable[Rule]:
    """The rules of this family."""
    alone, done = r"(?<![\w.])", r"(?!\w)(?!\.\d)"
    return (
        Rule("pii.ssn", "pii.ssn", r"\b\d{3}-\d{2}-\d{4}\b", alone + r"(?<!\d-)", done + r"(?!-\d)", check=ssn),
        Rule("pii.ssn.in_words", "pii.ssn", r"\d{3}[ .]?\d{2}[ .]?\d{4}", alone, done, check=ssn, context=_SSN_WORDS),
        *_cards(alone, done),
        Rule(
            "pii.iban",
            "pii.iban",
            r"[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}",
            r"(?<!\w)",
            r"(?!\w)",
            narrow=find_iban,
            longest=_WIDEST_IBAN,
        ),
        Rule(
            "pii.email",
            "pii.email",
            r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}",
            r"(?<![\w.%+-])",
            r"(?![\w-])",
            check=email,
            width=608,
            gate=r"[A-Za-z0-9._%+-]@[A-Za-z0-9][A-Za-z0-9-]*\.",
        ),
        Rule(
            "pii.phone.international",
            "pii.phone",
            r"\+\d(?:[ .-]?\(?\d\)?){7,32}",
            r"(?<![\w+.])",
            done,
            check=phone,
        ),
        Rule(
            "pii.phone.american",
            "pii.phone",
            r"\([2-9]\d{2}\) ?[2-9]\d{2}[ .-]\d{4}|\b[2-9]\d{2}(?:-[2-9]\d{2}-|\.[2-9]\d{2}\.)\d{4}",
            r"(?<![\w.+-])",
            done + r"(?!-\d)",
            check=phone_in_words,
        ),
        Rule(
            "pii.phone.in_words",
            "pii.phone",
            r"\d(?:[ .-]?\d){6,14}",
            alone + r"(?<![+-])",
            done + r"(?!-\d)",
            check=phone_in_words,
            context=_PHONE_WORDS,
        ),
    )
