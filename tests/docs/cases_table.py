"""The table of docs/CASES.md, made from the tests' names and docstrings; run this file to write it anew."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "CASES.md"

CASES = {
    "O-01": "a kind of document that the knowledge base cannot read",
    "O-02": "an ingestion job is already running",
    "O-03": "the job is complete and has done nothing",
    "O-04": "a job that takes longer than a run",
    "O-05": "a crash between starting a job and noting it",
    "O-06": "metadata over the byte limit",
    "O-07": "one attribute with two types",
    "O-08": "a removal that is only requested",
    "O-09": "a page limit that counts items read, not found",
    "O-10": "the failure note cannot be written",
    "O-11": "numbers that print strangely",
    "O-12": "sets without an order",
    "O-13": "a computed number that the store refuses",
    "O-14": "NULL is not missing",
    "O-15": "an index that shows the past",
    "O-16": "a status write brings a deleted incident back",
    "O-17": "epoch seconds, milliseconds, or text",
    "O-18": "an error note too big for the item",
    "O-19": "times with and without a zone",
    "O-20": "accents in object metadata",
    "O-21": "dot segments in an id",
    "O-22": "cleaning ids makes two of them one",
    "O-23": "a key length limit in bytes",
    "O-24": "ids that differ in letter case only",
    "O-25": "reserved characters in an id",
    "O-26": "two incidents in the same second",
    "O-27": "removed from the table, still found",
    "O-28": "an empty listing taken for deletion",
    "O-29": "reopened after it was synced",
    "O-30": "one bad record stops the rest",
    "O-31": "marked done before it was done",
    "O-32": "an answer that is silent about some documents",
    "O-33": "an outage uses up everybody's attempts",
    "O-34": "a moving field inside the content",
    "O-35": "everything failed, exit code 0",
    "O-36": "the next run starts from the wrong moment",
    "O-37": "incidents merged by the wrong key",
    "O-38": "one failure holds up all that come later",
    "O-39": "a setting changed after the fact",
    "O-40": "retrying for ever what can never work",
    "O-41": "memory that grows with the table",
    "O-42": "half a character",
    "O-43": "control characters",
    "O-44": "text decoded with the wrong table",
    "O-45": "back-ticks in a log close our block",
    "O-46": "a picture pasted as text",
    "O-47": "a less-than sign that is no tag",
    "O-48": "half of a secret masked",
    "O-49": "ids taken for telephone numbers",
    "O-50": "a title that is a spreadsheet formula",
    "O-51": "ticket text that closes our own wrapper",
    "O-52": "a cut in the middle of a character",
    "O-53": "invisible letters",
    "O-54": "time runs out in the middle of a run",
    "O-55": "two runs at once",
    "O-56": "a dead letter queue that stays empty",
    "O-57": "a lock that outlives its owner",
    "O-58": "an alert subject that is refused",
    "O-59": "an alert each hour for the same thing",
    "O-60": "no data is the worst news",
    "O-61": "anything but messages on standard output",
    "O-62": "an answer too large to be used",
    "O-63": "not found, or not indexed?",
    "O-64": "retrieved text is data, not instructions",
}
"""Every case by its id, in our words."""

_HEAD = """# Cases: real faults and the tests that cover them

Each case is a fault that others met in this kind of work, turned into a test of ours. A case without a test
waits for the part of kbsync that it is about. `tests/docs/cases_table.py` makes the table from the tests.

| case | fault | tests |
|---|---|---|
"""
_ID = re.compile(r"\b[oO][-_](\d{2})\b|_o_(\d{2})(?=_|$)")


def covering_tests() -> dict[str, list[str]]:
    """Return, for each case, the tests whose name or docstring names it, as `file::test`."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for function in _tests_of(path):
            text = f"{function.name.removeprefix('test')} {ast.get_docstring(function) or ''}"
            for case in dict.fromkeys(f"O-{first or second}" for first, second in _ID.findall(text)):
                name = f"{path.relative_to(ROOT).as_posix()}::{function.name}"
                found.setdefault(case, []).append(name)
    return found


def _tests_of(path: Path) -> Iterator[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def page() -> str:
    """Return what docs/CASES.md must say."""
    tests = covering_tests()
    rows = [
        f"| {case} | {title} | {'<br>'.join(f'`{test}`' for test in tests.get(case, [])) or '-'} |"
        for case, title in CASES.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
