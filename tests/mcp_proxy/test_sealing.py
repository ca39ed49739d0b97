"""What a client brings back is believed only where this installation sealed it, for this call, not long ago."""

from datetime import timedelta
from functools import partial

import pytest

from governance import jsontree, seal
from governance.audit.keys import derive
from governance.jsontree import Json, JsonObject
from mcp_proxy.sealing import KEY, Claims, Seal, UnsealedError
from tests.conftest import ManualClock

KEYS = partial(derive, bytes(range(32)))
SEAL = Seal(KEYS)
OTHER = Seal(partial(derive, bytes(range(1, 33))))


def claims(**kept: Json) -> Claims:
    return Claims("digest", "tkt_1", 3, opened=True, kept=kept)


def sealed(clock: ManualClock, seconds: float = 60) -> str:
    return SEAL.close(claims(requestState="theirs"), clock.now().timestamp() + seconds)


def test_what_was_sealed_is_read_back(clock: ManualClock) -> None:
    token = sealed(clock)
    assert SEAL.is_ours(token)
    assert SEAL.open(token, "digest", clock.now()) == claims(requestState="theirs")
    assert "tkt_1" not in token
    assert "theirs" not in token


def test_a_state_runs_out(clock: ManualClock) -> None:
    token = sealed(clock, seconds=60)
    clock.advance(59)
    SEAL.open(token, "digest", clock.now())
    clock.advance(1)
    with pytest.raises(UnsealedError):
        SEAL.open(token, "digest", clock.now())


def test_a_state_is_for_one_call(clock: ManualClock) -> None:
    with pytest.raises(UnsealedError):
        SEAL.open(sealed(clock), "another", clock.now())


def test_no_character_of_a_state_can_be_changed(clock: ManualClock) -> None:
    token = sealed(clock)
    start = len(token) - len(token.rpartition(".")[2])
    for place in range(start, len(token)):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(UnsealedError):
            SEAL.open(changed, "digest", clock.now() - timedelta(seconds=1))


@pytest.mark.parametrize("token", ["", "v1.", "v1.AAAA", "\ud800", "v1.é"])
def test_nonsense_is_no_state(clock: ManualClock, token: str) -> None:
    prefix = sealed(clock).rpartition("v1.")[0]
    assert SEAL.is_ours(prefix + token)
    with pytest.raises(UnsealedError):
        SEAL.open(prefix + token, "digest", clock.now())


def test_the_state_of_another_installation_is_that_of_a_server(clock: ManualClock) -> None:
    assert not OTHER.is_ours(sealed(clock))
    assert OTHER.name != SEAL.name


@pytest.mark.parametrize("change", [{}, {"v": 2}, {"exp": None}, {"rounds": "3"}, {"bound": None}])
def test_a_state_of_another_shape_is_not_believed(clock: ManualClock, change: JsonObject) -> None:
    whole: JsonObject = {
        "v": 1,
        "exp": 2**40,
        "bound": "digest",
        "rounds": 1,
        "ticket": "",
        "opened": False,
        "kept": {},
    }
    codec = seal.Seal(KEYS(KEY))
    token = sealed(clock).rpartition("v1.")[0] + codec.close(jsontree.dump({**whole, **change}))
    if not change:
        assert SEAL.open(token, "digest", clock.now()).rounds == 1
        return
    with pytest.raises(UnsealedError):
        SEAL.open(token, "digest", clock.now())
