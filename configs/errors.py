"""The one kind of error that is the user's to mend."""

from __future__ import annotations

from typing import ClassVar


class InputError(ValueError):
    """Bad input: the message says in one line what is wrong, with what value, and what to do.

    The command prints it without a traceback and ends with exit code 2.

    Attributes
    ----------
    about
        Heading in ``docs/troubleshooting.md`` under which what to do stands; each kind of error names its own.
    """

    about: ClassVar[str] = "what-was-asked"


class ConfigError(InputError):
    """A configuration that cannot be used; the message has one line for each fault."""

    about = "configuration"
