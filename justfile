# What one types most. Each line works without just, too.

setup:
    python3 -m venv .venv && .venv/bin/pip install -e '.[test]'

app:
    .venv/bin/streamlit run app.py

test *args:
    .venv/bin/pytest {{args}}

lint:
    .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

docs:
    .venv/bin/python -m tests.tree && .venv/bin/python -m tests.reference

bench *args:
    .venv/bin/memory-explorer bench {{args}}
