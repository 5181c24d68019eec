"""Take out of a bundle what no function ever reads: other services' models, scripts, tests and types.

Uses the standard library only. Invariant: every service in botocore_services.txt keeps its whole model, and a
service that is not there in the first place is an error, not a smaller bundle.
"""

import shutil
import sys
from pathlib import Path

SERVICES = Path(__file__).with_name("botocore_services.txt")


def services() -> list[str]:
    """Return the services whose clients kbsync and its packages make."""
    lines = SERVICES.read_text(encoding="utf-8").splitlines()
    return [line.split("#", maxsplit=1)[0].strip() for line in lines]


def prune(bundle: Path) -> None:
    """Prune a bundle in place; a repeat finds nothing more to do.

    Raises:
        FileNotFoundError: botocore does not know one of the services; nothing was removed.
    """
    models = bundle / "botocore" / "data"
    for name in services():
        if not (models / name).is_dir():
            raise FileNotFoundError(f"botocore has no service {name}: mend {SERVICES.name}")
    for folder in models.iterdir():
        if folder.is_dir() and folder.name not in services():
            shutil.rmtree(folder)
    for pattern in ("boto3/examples", "bin", "**/__pycache__", "**/tests"):
        for folder in list(bundle.glob(pattern)):
            shutil.rmtree(folder)
    for pattern in ("**/*.pyi", "**/*.c", "**/*.pyx"):
        for file in bundle.glob(pattern):
            file.unlink()


if __name__ == "__main__":
    prune(Path(sys.argv[1]))
