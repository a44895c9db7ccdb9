"""What cannot be fitted, said in one line."""

from __future__ import annotations

from configs.errors import InputError


class RidgeError(InputError):
    """Trials that no ridge regression can be fitted to; one line says why."""

    about = "fitting"


class FitError(InputError):
    """Trials that no map can be fitted to; one line says what is wrong and what to do."""

    about = "fitting"
