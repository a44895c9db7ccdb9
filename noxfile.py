"""The tests that start no process, under every Python that is here: ``nox``."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Install as a developer would, with the tested set where it has this Python, and run the fast tests."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    session.run(
        "python", "-m", "pytest", "-n", "auto", "--dist", "loadfile",
        "-m", "not (processes or realtime or slow or gpu)", *session.posargs,
    )  # fmt: skip
