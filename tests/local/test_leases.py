"""What only processes of one machine can know: whether the holder of a lease is still alive."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kbsync.errors import AccessDeniedError, BusyError
from kbsync.local.database import LocalDatabase
from kbsync.local.leases import LocalLeases
from kbsync.model import Lease

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

HOLDER = """
import sys
from pathlib import Path
from datetime import datetime
from kbsync.local.database import LocalDatabase
from kbsync.local.leases import LocalLeases
home = Path(sys.argv[1])
leases = LocalLeases(LocalDatabase(home / "kbsync.db"), home / "leases")
leases.acquire("publisher", "other", now=datetime.fromisoformat(sys.argv[2]), seconds=120, grace_seconds=60)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease until it is told to end or killed."""
    arguments = [sys.executable, "-c", HOLDER, str(tmp_path), NOON.isoformat()]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def leases(home: Path) -> LocalLeases:
    return LocalLeases(LocalDatabase(home / "kbsync.db"), home / "leases")


def take(held: LocalLeases) -> Lease:
    return held.acquire("publisher", "ours", now=NOON, seconds=120, grace_seconds=60)


def test_living_holder_of_another_process_is_waited_for(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.poll() is None
    with pytest.raises(BusyError, match="other"):
        take(leases(tmp_path))


def test_killed_holder_is_replaced_at_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()

    lease = take(leases(tmp_path))

    assert (lease.generation, lease.forced) == (2, False)
    assert [path.name for path in (tmp_path / "leases").iterdir()] == ["publisher-2.lock"]


def test_missing_lock_file_proves_no_death(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    (tmp_path / "leases" / "publisher-1.lock").unlink()

    with pytest.raises(BusyError):
        take(leases(tmp_path))


def test_released_lease_leaves_no_file(tmp_path: Path) -> None:
    held = leases(tmp_path)
    held.release(take(held))

    assert list((tmp_path / "leases").iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_named(tmp_path: Path) -> None:
    held = leases(tmp_path)
    tmp_path.chmod(0o500)

    with pytest.raises(AccessDeniedError, match="folder of leases"):
        take(held)
