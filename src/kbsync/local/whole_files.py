"""Files that are there whole or not at all, whatever kills their writer. Imports nothing of ours."""

import os
import tempfile
from pathlib import Path

UNFINISHED = ".part"
"""How the hidden file ends that a killed writer leaves."""


def write_atomically(path: Path, content: bytes, *, durable: bool) -> None:
    """Write beside the target, then rename; where durable, a power cut leaves the old or the new bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=UNFINISHED, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    if durable:
        fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Have the folder's own entries outlive a power cut, as after a rename or a removal."""
    if os.name == "nt":  # a folder cannot be opened there; NTFS journals the rename itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
