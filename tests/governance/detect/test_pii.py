"""Each check against the values that its standard or its issuer gives, and against near misses of them."""

import pytest

from governance.detect import pii
from governance.detect.detector import Detector
from tests.governance.detect.samples import PERSONAL


@pytest.mark.parametrize("number", ["4111111111111111", "378282246310005", "2223003122003222", "5555555555554444"])
def test_a_card_number_of_a_known_network_is_one(number: str) -> None:
    assert pii.card(number)


@pytest.mark.parametrize("number", ["4111111111111111", "378282246310005", "2223003122003222"])
def test_any_single_wrong_digit_breaks_the_checksum(number: str) -> None:
    for place, digit in enumerate(number):
        for other in set("0123456789") - {digit}:
            assert not pii.luhn(number[:place] + other + number[place + 1 :])


def test_a_number_of_one_digit_only_is_no_card() -> None:
    assert pii.luhn("0000000000000000")
    assert not pii.card("0000000000000000")
    assert not pii.card_by_luhn("0000000000000000")


@pytest.mark.parametrize("number", ["GB82WEST12345698765432", "DE89370400440532013000", "NO9386011117947"])
def test_an_iban_is_recognised_and_its_near_misses_are_not(number: str) -> None:
    assert pii.iban(number)
    for place in range(4, len(number)):
        if number[place].isdigit():
            wrong = number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]
            assert not pii.iban(wrong)
    assert not pii.iban(number[:-1])
    assert not pii.iban("XX" + number[2:])


@pytest.mark.parametrize("number", ["123-45-6789", "123456789", "899-99-9999"])
def test_a_social_security_number_that_could_be_given_out(number: str) -> None:
    assert pii.ssn(number)


@pytest.mark.parametrize(
    "number",
    ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "078-05-1120", "219-09-9999"],
)
def test_a_social_security_number_that_is_never_given_out(number: str) -> None:
    assert not pii.ssn(number)


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("jane@x.org", True),
        ("logo@2x.png", False),
        ("git@github.com", False),
        ("a..b@x.org", False),
        ("a@-x-.org", False),
    ],
)
def test_an_address_is_told_from_what_only_has_an_at_sign(address: str, is_one: bool) -> None:
    assert pii.email(address) is is_one


@pytest.mark.parametrize("number", ["+1 212 555 0123", "+49 30 901820", "+442079460958"])
def test_a_telephone_number_starts_with_a_calling_code(number: str) -> None:
    assert pii.phone(number)
    assert not pii.phone("+999" + number[3:][:3])


def test_a_date_beside_a_word_is_no_telephone_number() -> None:
    assert not pii.phone_in_words("2026-11-21")
    assert not pii.phone_in_words("21.11.2026")


def test_a_card_is_found_among_other_groups_of_digits() -> None:
    run = "26 4111 1111 1111 1111 123"
    assert pii.find_card(run) == (3, 22)
    assert pii.find_card("4111 1111-1111 1111") is None, "groups are parted in one way"
    assert pii.find_iban("GB82 WEST 1234 5698 7654 32 IS MY") == (0, 27)
    assert pii.find_iban("GB82WEST123456987654321") is None


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in PERSONAL.items() for text in texts])
def test_every_sample_is_found(detector: Detector, kind: str, text: str) -> None:
    for around in ("{}", "it is {} as said.", '{{"value": "{}"}}', "({})\n", "value={};"):
        assert kind in {hit.rule.kind for hit in detector.hits(around.format(text))}, around


@pytest.mark.parametrize(
    ("text", "things"),
    [
        ("4111111111111111 5500000000000004", ["4111111111111111", "5500000000000004"]),
        ("4111 1111 1111 1111 5500 0000 0000 0004", ["4111 1111 1111 1111", "5500 0000 0000 0004"]),
        ("1234 " * 8 + "4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("1234 " * 33 + "4111-1111-1111-1111", ["4111-1111-1111-1111"]),
        ("card 4000000000000002 5018000000000009", ["4000000000000002", "5018000000000009"]),
        ("DE89370400440532013000 GB82WEST12345698765432", ["DE89370400440532013000", "GB82WEST12345698765432"]),
        ("AB12-34 DE89 3704 0044 0532 0130 00", ["DE89 3704 0044 0532 0130 00"]),
    ],
)
def test_one_number_does_not_hide_the_next(detector: Detector, text: str, things: list[str]) -> None:
    assert [text[hit.start : hit.end] for hit in detector.hits(text)] == things
