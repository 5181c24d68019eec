"""Refuse a bundle that would not run or not fit: foreign machine code, another Python, too large, incomplete.

Uses the standard library only. Invariant: an extension module is judged by its ELF header and by the tag in
its name, never by the name of the wheel it came from.
"""

import re
import struct
import sys
from pathlib import Path

LIMIT_BYTES = 75_000_000
"""What we allow ourselves. Lambda's own limit is 250 MB unzipped.
Source: AWS Lambda Developer Guide, "Lambda quotas"."""
MACHINES = {"aarch64": 183, "x86_64": 62}
"""Source: ELF-64 object file format, `e_machine` (EM_AARCH64, EM_X86_64)."""
_TAG = re.compile(r"\.(?:cpython-(?P<minor>3\d+)[a-z]*-(?P<machine>[a-z0-9_]+)-linux-(?:gnu|musl)|abi3)\.so$")
NEEDED = (
    "kbsync/lambda_handlers/batch.py",
    "kbsync/lambda_handlers/stream.py",
    "boto3/__init__.py",
    "botocore/data/endpoints.json",
    "aws_lambda_powertools/__init__.py",
    "aws_xray_sdk/__init__.py",
    "obstore/store.py",
)


def size_bytes(bundle: Path) -> int:
    """Return the unzipped size."""
    return sum(file.stat().st_size for file in bundle.rglob("*") if file.is_file())


def machine_of(library: Path) -> int:
    """Return the machine number of an ELF file, 0 for anything else."""
    head = library.read_bytes()[:20]
    if len(head) < 20 or not head.startswith(b"\x7fELF"):  # noqa: PLR2004 - up to and with e_machine
        return 0
    return int(struct.unpack_from("<H", head, 18)[0])


def faults_of(bundle: Path, machine: str, python_version: str) -> list[str]:
    """Return what is wrong with a bundle for this machine and Python, one line each."""
    faults = [f"{name} is missing" for name in NEEDED if not (bundle / name).is_file()]
    wanted = "".join(python_version.split(".")[:2])
    for library in sorted(bundle.rglob("*.so*")):
        name = library.relative_to(bundle)
        if machine_of(library) != MACHINES[machine]:
            faults.append(f"{name} is not for {machine}")
        tag = _TAG.search(library.name)
        if tag and tag["minor"] and tag["minor"] != wanted:
            faults.append(f"{name} is for another Python than {python_version}")
    size = size_bytes(bundle)
    if size >= LIMIT_BYTES:
        faults.append(f"{size:,} bytes unzipped, allowed are {LIMIT_BYTES:,}")
    return faults


def main(bundle: Path, platform: str, python_version: str) -> int:
    """Print size and faults; return the exit code."""
    faults = faults_of(bundle, platform.split("-", maxsplit=1)[0], python_version)
    libraries = len(list(bundle.rglob("*.so*")))
    print(f"{size_bytes(bundle) / 1e6:.1f} MB unzipped, {libraries} libraries, {platform}, {python_version}")
    print("\n".join(faults), end="\n" if faults else "", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
