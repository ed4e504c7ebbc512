"""Passwords of key files: typed without being shown; read from a file where a testnet put one."""

from pathlib import Path

import click

from cli.errors import Unusable

PASSWORD_CHARS_MIN = 8
"""Argon2id makes each guess dear; it cannot save a password that is guessed at once."""


def new_password(whose: str) -> str:
    """Ask twice for a new password; raises Unusable for a short one."""
    password: str = click.prompt(
        f"New password of {whose}", hide_input=True, confirmation_prompt="Once more", err=True
    )
    if len(password) < PASSWORD_CHARS_MIN:
        raise Unusable(
            f"the password must have at least {PASSWORD_CHARS_MIN} characters",
            "a few unrelated words are easy to remember and hard to guess",
        )
    return password


def old_password(keys: Path) -> str:
    """Return the password of a key file: from `password` beside it, or typed."""
    if not keys.exists():
        raise Unusable(f"{keys} is not there", "make keys with `hearth keys new --home DIR`")
    file = keys.with_name("password")
    if file.exists():
        return file.read_text("utf-8").rstrip("\r\n")
    password: str = click.prompt(f"Password of {keys}", hide_input=True, err=True)
    return password
