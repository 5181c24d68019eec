"""The demo's forty incidents, read from the JSON Lines file beside this module. May import importing.

Invariant: everything in the file is made up; its secrets are written with one JSON escape, so that no scanner
of the source takes them for real ones.
"""

import io
from importlib.resources import files

from kbsync.importing.json_lines import read_json_lines
from kbsync.importing.records import Accepted
from kbsync.model import Attributes


def demo_incidents() -> list[Attributes]:
    """Return the incidents in the order of the file, as `import` would read them."""
    content = files("kbsync.demo").joinpath("incidents.jsonl").read_bytes()
    lines = read_json_lines(io.BytesIO(content))
    return [line.attributes for line in lines if isinstance(line, Accepted)]
