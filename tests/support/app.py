"""The app under test: where it is, in which languages it is opened, and what holds of it on every page."""

import time
from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
APP = str(ROOT / "app.py")
PAGES = sorted(file.parent.name for file in (ROOT / "viz" / "pages").glob("*/page.py"))
LANGUAGES = {"en": "en-GB", "ja": "ja-JP"}


def sound(app: AppTest) -> AppTest:
    """The same app, if it shows neither an exception nor an error."""
    assert not app.exception, app.exception[0].value
    assert not app.error, app.error[0].value
    return app


def words(app: AppTest) -> str:
    return " ".join(
        str(element.value) for kind in ("header", "markdown", "caption", "info") for element in app.get(kind)
    )


def until(app: AppTest, holds: Callable[[AppTest], bool], seconds: float = 60) -> AppTest:
    deadline = time.monotonic() + seconds
    while not holds(app.run()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)
    return app
