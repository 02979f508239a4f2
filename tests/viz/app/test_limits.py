"""What one person may use of a shared server, and who has to sign in."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.errors import UserError
from viz.app import limits

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("variable", "check", "key"),
    [
        (limits.TOKENS, lambda: limits.check_tokens(101), "app.limits.tokens"),
        (limits.JOBS, lambda: limits.check_jobs(100), "app.limits.jobs"),
    ],
)
def test_a_limit_holds_where_there_is_one(
    variable: str, check: object, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check()
    monkeypatch.setenv(variable, "100")
    with pytest.raises(UserError) as refused:
        check()
    assert refused.value.key == key and "100" in refused.value.sentence("ja")
    monkeypatch.setenv(variable, "many")
    check()


def test_room_is_that_of_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for file in (tmp_path / "one", tmp_path / "a" / "b" / "two"):
        file.write_bytes(bytes(600_000))
    limits.check_room(tmp_path)
    monkeypatch.setenv(limits.MEGABYTES, "1")
    with pytest.raises(UserError, match="1 MB"):
        limits.check_room(tmp_path)
    (tmp_path / "one").unlink()
    limits.check_room(tmp_path)


def test_who_has_not_signed_in_sees_nothing_else() -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.secrets["auth"] = {"redirect_uri": "http://localhost:8501/oauth2callback", "cookie_secret": "x"}
    app.run()
    assert not app.exception and [button.label for button in app.button] == ["Sign in"]
    assert not app.sidebar.selectbox and not app.tabs
