"""Several recordings as one file: a zip that holds a zip of each, which is what a recording is loaded from."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from typing import IO

from model.recording.archive import pack
from model.recording.reader import Recording


def pack_all(recordings: Sequence[Recording], target: IO[bytes]) -> None:
    """Write one recording to ``target`` as :func:`.archive.pack` does, several as a zip of such files."""
    if len(recordings) == 1:
        pack(recordings[0], target)
        return
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for recording in recordings:
            with tempfile.TemporaryFile() as one:
                pack(recording, one)
                one.seek(0)
                with archive.open(f"recording-{recording.key}.zip", "w", force_zip64=True) as entry:
                    while block := one.read(1 << 20):
                        entry.write(block)
