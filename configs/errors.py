"""The one kind of error that is the user's to mend."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message says in one line what is wrong, with what value, and what to do.

    The command prints it without a traceback and ends with exit code 2.
    """


class ConfigError(InputError):
    """A configuration that cannot be used; the message has one line for each fault."""
