"""Read VocalSound: sounds whose file names contain their label."""

from __future__ import annotations

from collections.abc import Iterator

from aisb import DataFiles, Row

SOUNDS = ("laughter", "sigh", "cough", "throatclearing", "sneeze", "sniff")


def vocalsound(*, files: DataFiles) -> Iterator[Row]:
    """A row for each sound: `audio` is its path, `letter` its label."""
    for file in files:
        label = file.path.stem.rpartition("_")[2].lower()
        if label not in SOUNDS:
            raise file.error(f"its name ends in {label!r}, which is none of {', '.join(SOUNDS)}")
        yield {"audio": str(file.path), "label": label, "letter": "ABCDEF"[SOUNDS.index(label)]}
