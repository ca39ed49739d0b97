"""The state directory: made closed, kept closed, and refused when its secrets are weak."""

import stat
from pathlib import Path

import pytest

from governance.config.models import Config
from governance.config.secrets import ADMIN_FILE, MASTER_FILE, Secrets, SecretsError, open_secrets, prepare


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".wicket"


def opened(state: Path, **settings: object) -> Secrets:
    return open_secrets(Config.model_validate({"state": str(state), **settings}))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_run_makes_random_secrets_only_the_owner_can_read(state: Path, tmp_path: Path):
    made = prepare(state)
    prepare(tmp_path / "other")
    assert sorted(path.name for path in made) == [ADMIN_FILE, MASTER_FILE]
    assert (mode(state), mode(state / MASTER_FILE), mode(state / ADMIN_FILE)) == (0o700, 0o600, 0o600)
    assert opened(state).master != opened(tmp_path / "other").master
    assert len(opened(state).master) == 32
    assert list(state.glob(".*")) == []


def test_a_second_run_keeps_what_is_there(state: Path):
    prepare(state)
    before = opened(state)
    assert prepare(state) == []
    assert opened(state) == before


def test_a_representation_shows_no_secret(state: Path):
    prepare(state)
    assert repr(opened(state)) == "Secrets()"


@pytest.mark.parametrize("name", [MASTER_FILE, ADMIN_FILE])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is too short"),
        (b"short", "is too short"),
        (b"\0" * 32, "is not random"),
        (b"a" * 64, "is not random"),
        (b"changeme-changeme-changeme-with-more-letters", "is not random"),
        (b"0123456789" + b"abcdefghijklmnop" + b"MySecretValue", "is not random"),
    ],
)
def test_a_weak_secret_refuses_and_says_how_to_mend_it(state: Path, name: str, content: bytes, told: str):
    prepare(state)
    (state / name).write_bytes(content)
    with pytest.raises(SecretsError, match=f"{name}` {told}: put 32 random bytes there"):
        opened(state)


@pytest.mark.parametrize("name", [MASTER_FILE, ADMIN_FILE])
def test_a_file_that_others_can_read_refuses(state: Path, name: str):
    prepare(state)
    (state / name).chmod(0o640)
    with pytest.raises(SecretsError, match=f"{name}` is open to other users: run `chmod 600"):
        opened(state)


def test_a_directory_that_others_can_enter_refuses(state: Path):
    prepare(state)
    state.chmod(0o755)
    with pytest.raises(SecretsError, match="is open to other users: run `chmod 700"):
        opened(state)
    with pytest.raises(SecretsError, match="is open to other users"):
        prepare(state)


def test_a_missing_secret_refuses(state: Path):
    prepare(state)
    (state / MASTER_FILE).unlink()
    with pytest.raises(SecretsError, match="is missing: `wicket init` makes it"):
        opened(state)


def test_a_secret_that_is_no_file_refuses(state: Path):
    prepare(state)
    (state / MASTER_FILE).unlink()
    (state / MASTER_FILE).mkdir(mode=0o700)
    with pytest.raises(SecretsError, match="cannot be read"):
        opened(state)


def test_a_state_directory_that_cannot_be_made_refuses(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SecretsError, match="cannot make the directory"):
        prepare(tmp_path / "file" / "state")


def test_secrets_from_elsewhere_need_no_files(state: Path):
    assert prepare(state, external=True) == []
    given = {"master_key": "0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2, "admin_token": "abcdefghijklmnopqrstuvwxyzABCDEF"}
    assert opened(state, secrets=given).admin_token == given["admin_token"]
    assert len(opened(state, secrets=given).master) == 32
    with pytest.raises(SecretsError, match=r"`secrets.master_key` is not random"):
        opened(state, secrets=given | {"master_key": "ab" * 32})
