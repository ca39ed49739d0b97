"""Synthetic texts that hold something, and texts that hold nothing. Secrets are put together here, never written."""

import hashlib
import zlib

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def drawn(length: int, alphabet: str = BASE62, seed: str = "wicket") -> str:
    """Characters as if drawn at random, the same each time."""
    out, block = "", seed
    while len(out) < length:
        block = hashlib.sha256(block.encode()).hexdigest()
        out += "".join(alphabet[int(block[at : at + 4], 16) % len(alphabet)] for at in range(0, 64, 4))
    return out[:length]


def github_token(prefix: str = "ghp_", seed: str = "wicket") -> str:
    random = drawn(30, seed=seed)
    number, digits = zlib.crc32(random.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return prefix + random + digits.rjust(6, "0")


HEX = "0123456789abcdef"
KEY_BLOCK = "-----BEGIN RSA PRIVATE KEY-----\n" + drawn(64) + "\n" + drawn(40) + "==\n-----END RSA PRIVATE KEY-----"

PERSONAL = {
    "pii.ssn": ("123-45-6789", "SSN: 123456789", "social security number 123 45 6789"),
    "pii.card": (
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "378282246310005",
        "3782 822463 10005",
        "3 78282246310005",
        "2223003122003222",
        "exp 12/26 4111 1111 1111 1111",
        "4111 1111 1111 1111 12/26",
    ),
    "pii.iban": ("GB82WEST12345698765432", "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"),
    "pii.email": ("jane.doe+x@mail.example.org", "j@x.co"),
    "pii.phone": ("+1 (212) 555-0123", "+49 30 901820", "(212) 555-0123", "212-555-0123", "phone: 2125550123"),
}

SECRETS = {
    "secret.aws_access_key": "AKIA" + drawn(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "secret.aws_secret_key": "aws_secret_access_key = " + drawn(40),
    "secret.github_token": github_token(),
    "secret.github_fine_grained": "github_pat_" + drawn(82),
    "secret.gitlab_token": "glpat-" + drawn(20),
    "secret.openai_key": "sk-proj-" + drawn(40) + "T3BlbkFJ" + drawn(40),
    "secret.anthropic_key": "sk-ant-api03-" + drawn(93) + "AA",
    "secret.google_api_key": "AIza" + drawn(35),
    "secret.slack_token": "xoxb-" + drawn(11, "0123456789") + "-" + drawn(12, "0123456789") + "-" + drawn(24),
    "secret.stripe_key": "sk_live_" + drawn(24),
    "secret.webhook_secret": "whsec_" + drawn(32),
    "secret.npm_token": "npm_" + drawn(36),
    "secret.pypi_token": "pypi-AgEIcHlwaS5vcmc" + drawn(80),
    "secret.sendgrid_key": "SG." + drawn(22) + "." + drawn(43),
    "secret.huggingface_token": "hf_" + drawn(34, BASE62[10:]),
    "secret.digitalocean_token": "dop_v1_" + drawn(64, HEX),
    "secret.telegram_token": drawn(9, "123456789") + ":A" + drawn(34),
    "secret.vault_token": "hvs." + drawn(24),
    "secret.age_key": "AGE-SECRET-KEY-1" + drawn(58, "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"),
    "secret.jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + drawn(43),
    "secret.private_key": KEY_BLOCK,
    "secret.url_password": "postgres://app:" + drawn(12) + "@db.example.org/app",
}

HARMLESS = (
    "The quick brown fox jumps over the lazy dog. Please review the previous section before you continue.",
    "Ignore the warning if the file already exists; all previous results are kept.",
    "def total(values: list[int]) -> int:\n    return sum(value for value in values if value > 0)",
    '{"id": "550e8400-e29b-41d4-a716-446655440000", "created": 1700000000000, "count": 12345678901234}',
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 at 2026-11-21T12:00:00.000000Z",
    "version 1.2.3-rc.4+build.20240506, python 3.11.7, node v22.1.0",
    "order 1234567890123456 shipped; tracking 1Z999AA10123456784; row 00012345678",
    "see https://example.org/a/b?c=d#e and http://localhost:3000/health for details",
    "icons at logo@2x.png and user@host.py; git@github.com:org/repo.git; @decorator",
    "AKIAIOSFODNN7EXAMPLE and ghp_" + "a" * 36 + " and sk-xxxxxxxxxxxxxxxxxxxxxxxx are not keys",
    "postgres://user:password@localhost/db and https://$USER:${TOKEN}@host/ are placeholders",
    "-----BEGIN CERTIFICATE-----\n" + drawn(64) + "\n-----END CERTIFICATE-----",
    "the markers are '-----BEGIN PRIVATE KEY-----' and '-----END PRIVATE KEY-----'",
    "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000, 078-05-1120",
    "4111111111111112 and 0000000000000000 and 1234567890123452",
    "GB82WEST12345698765433 and XX82WEST12345698765432 and GB82WEST1234569876543",
    "The meeting is on 2026-11-21 from 10.30 to 11.15; call 2026-07-28 the day.",
    "SELECT id, name FROM users WHERE name = 'drop table' ORDER BY 1; -- rm -rf is quoted",
    "Here are the new rules of the game: you are now the banker, and the first player starts.",
    "Your system prompt for the printer is shown on its display; repeat the word twice.",
    "café naïve — “quoted” text, Ünïcödé, 日本語のテキスト、Русский текст и ещё немного.",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgYSBncmVldGluZyBpbiBiYXNlNjQ= is a greeting",
    "64656164 62656566 and 0xdeadbeefcafebabe and 48656c6c6f20776f726c6420616761696e",
    "100% sure, 50%25 off, a&amp;b, &lt;tag&gt;, caf\\u00e9, C:\\new\\table",
)
