"""What can go wrong, as an agent has to tell it apart: it was not allowed, it did not work, or nobody answered."""

from __future__ import annotations


class StewardError(Exception):
    """Whatever this package raises of its own accord.

    ``code`` is stable and has a page under ``docs/errors``; ``message`` says what to do; ``action`` is the id that
    ``steward action explain`` knows, if there is one.
    """

    def __init__(self, code: str, message: str, action: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.action = action


class Refused(StewardError):
    """It was not allowed, and was not done. Do not try the same again: repeated errors end the run."""


class Failed(StewardError):
    """It was allowed, and went wrong. ``status`` is ``failed``, or ``unknown`` if nobody knows whether it happened."""

    def __init__(self, code: str, message: str, action: str | None = None, status: str = "failed") -> None:
        super().__init__(code, message, action)
        self.status = status


class Unavailable(StewardError):
    """The node cannot be reached, or cannot answer now. What was under way may have happened: look before asking again."""
