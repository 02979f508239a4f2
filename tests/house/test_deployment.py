"""The files to deploy with name what the program has: folders, port, variables, limits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from tests.reference import ROOT, VARIABLES
from viz.report.chromium import NAMES

FOLDER = ROOT / "docs" / "deployment"
CONFIG = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))


def test_the_image_has_all_that_runs() -> None:
    text = (FOLDER / "Dockerfile").read_text("utf-8")
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for word in line.split()}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    wanted = {name.rstrip("*") for name in packages["packages"]["find"]["include"]}
    assert wanted <= copied and {"pyproject.toml", "app.py", ".streamlit/config.toml"} <= copied
    assert all((ROOT / name).exists() for name in copied)
    kept = {line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == copied
    assert re.search(r"^USER \d+$", text, re.M) and "/_stcore/health" in text


def test_the_image_can_print_reports() -> None:
    text = (FOLDER / "Dockerfile").read_text("utf-8")
    installed = re.search(r"apt-get install ((?:--?\S+ |[\w-]+ )+)&&", text)
    assert installed is not None and "fonts-noto-cjk" in installed[1]
    assert set(NAMES) & set(installed[1].split())  # under a name that the program looks for


def test_compose_says_what_the_program_knows() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))["services"]
    app, proxy = services["explorer"], services["proxy"]
    ours = {name for name in app["environment"] if name.startswith("MEMORY_EXPLORER_")}
    assert ours and ours <= VARIABLES.keys()
    assert app["read_only"] and "ports" not in app and app["cap_drop"] == ["ALL"]
    assert (FOLDER / app["build"]["context"] / app["build"]["dockerfile"]).resolve() == FOLDER / "Dockerfile"
    for volume in (*app["volumes"], *proxy["volumes"]):
        source = volume.partition(":")[0]
        if source.startswith("./"):
            assert (FOLDER / source).exists() or (FOLDER / f"{source}.example").exists()
    port = app["expose"][0]
    assert f"--server.port={port}" in (FOLDER / "Dockerfile").read_text() and f"explorer:{port}" in caddy()


def test_the_proxy_takes_what_the_app_takes() -> None:
    assert f"max_size {CONFIG['server']['maxUploadSize']}MB" in caddy()
    assert "Content-Security-Policy" in caddy() and "Strict-Transport-Security" in caddy()


def test_the_server_listens_on_this_machine_alone() -> None:
    assert CONFIG["server"]["address"] == "localhost"
    secrets = tomllib.loads((FOLDER / "secrets.toml.example").read_text("utf-8"))
    assert secrets["auth"].keys() == {
        *("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")
    }


def caddy() -> str:
    return Path(FOLDER / "Caddyfile").read_text("utf-8")
