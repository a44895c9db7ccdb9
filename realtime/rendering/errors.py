"""What a generator cannot do, said in one line."""

from __future__ import annotations

from configs.errors import InputError


class GeneratorError(InputError):
    """A generator that cannot be used as asked; the message is one line for people."""

    about = "painting"
