"""One exception for everything that a user can mend: it knows its sentence in every language."""

from __future__ import annotations

from model.messages import message


class UserError(Exception):
    """Something the user can put right.

    ``key`` names a message of :mod:`model.messages`, ``values`` fill its placeholders. ``str(error)`` is the
    English sentence; ``error.sentence("ja")`` the Japanese one. No traceback is ever shown for it.
    """

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self.values = values
        super().__init__(self.sentence("en"))

    def sentence(self, language: str) -> str:
        """What went wrong and what to do, in ``language`` (``"en"`` or ``"ja"``)."""
        return message(self.key, language, **self.values)
