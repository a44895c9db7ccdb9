"""What a generator cannot do, said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from configs.errors import InputError

if TYPE_CHECKING:
    pass


class GeneratorError(InputError):
    """A generator that cannot be used as asked; the message is one line for people."""
