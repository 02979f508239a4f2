"""Write the sample documents: ``python -m sample_data.generate`` gives the shipped files again, byte for byte."""

from __future__ import annotations

from sample_data import sample_path
from sample_data.contract import contract
from sample_data.equipment_spec import equipment_spec
from sample_data.minutes import minutes
from sample_data.plant_log import plant_log
from sample_data.server_log import server_log

NEWLINES = 60_000


def newlines() -> str:
    """The degenerate prompt of the state collapse papers: nothing but line feeds, one token again and again."""
    return "\n" * NEWLINES


GENERATORS = {
    "plant_log_ja": plant_log,
    "equipment_spec_en": equipment_spec,
    "contract_en": contract,
    "server_log_en": server_log,
    "meeting_minutes_ja": minutes,
    "newlines": newlines,
}


def main() -> None:
    """Rewrite every sample file."""
    for key, generator in GENERATORS.items():
        data = generator().encode("utf-8")
        sample_path(key).write_bytes(data)
        print(f"{sample_path(key).name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
