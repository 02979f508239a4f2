"""One exception for everything that a user can correct, with its sentence in every language."""

from __future__ import annotations

from typing import Any

from model.messages import message


class UserError(Exception):
    """Something the user can put right.

    ``key`` names a message of :mod:`model.messages`, ``values`` fill its placeholders; one that is a UserError itself
    is said in the same language. ``str(error)`` is the English sentence; ``error.sentence("ja")`` the Japanese one. No
    traceback is ever shown for it.
    """

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self.values = values
        super().__init__(self.sentence("en"))

    def __reduce__(self) -> tuple[Any, ...]:
        """How it comes back from another process: with its key and values, not with its sentence."""
        return _again, (self.key, self.values)

    def sentence(self, language: str) -> str:
        """What went wrong and what to do, in ``language`` (``"en"`` or ``"ja"``)."""
        values = {
            name: value.sentence(language) if isinstance(value, UserError) else value
            for name, value in self.values.items()
        }
        return message(self.key, language, **values)


def _again(key: str, values: dict[str, object]) -> UserError:
    return UserError(key, **values)
