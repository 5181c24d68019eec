"""How long the pages of `kbsync serve` take over many incidents: the least of five, in milliseconds.

    python scripts/measure_pages.py [COUNT]

The incidents are copies, by SQL, of one that was really synced. The time is that of the application, without
network and browser. Noise: other work on the machine; that is why the least counts.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from web.many import many_incidents

PATHS = ("/", "/incidents", "/incidents?state=indexed", "/incidents?status=CLOSED", "/runs")
REPEATS = 5


def main() -> None:
    """Print one line a page."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with TemporaryDirectory() as folder:
        visit = many_incidents(Path(folder), count)
        for path in PATHS:
            taken = []
            for _ in range(REPEATS):
                begun = time.perf_counter()
                visit.get(path)
                taken.append(time.perf_counter() - begun)
            print(f"{path:28} {min(taken) * 1000:8.1f} ms")


main()
