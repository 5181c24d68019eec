"""Measure kbsync beside its peers and print Markdown.

    python -m benchmarks.peers DOCUMENTS [--limit N] [--only NAME ...]

Every case is run by every tool before the next case begins, so that what else the machine does meets all
alike. Seconds compare within one run only; counts repeat. A peer that cannot be installed is left out, with
the reason.
"""

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.corpus import Corpus, Files
from benchmarks.peers.frame import EMBEDDED_LOG, KILL_AFTER
from benchmarks.peers.tools import NAMES, OURS, Figures, Tool, installed, versions

ROUNDS = 2
TIMED = ("cold", "no-op", "1 % edited")
WITHDRAWN = ("reopened", "removed")


@dataclass
class Results:
    """What was measured, by tool: each case's rounds, what was served wrongly after it, and the crash."""

    figures: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    wrong: dict[str, dict[str, str]] = field(default_factory=dict)
    still_served: dict[str, dict[str, str]] = field(default_factory=dict)
    crashed: dict[str, str] = field(default_factory=dict)

    def best(self, tool: str, case: str) -> Figures:
        """Return the round that took least."""
        return min(self.figures[tool][case], key=lambda each: each.seconds)


def difference(served: Mapping[str, int], expected: Mapping[str, int]) -> str:
    """Return how many incidents are missing, served in an old version, or served though they must not be."""
    counts = {
        "missing": len(expected.keys() - served.keys()),
        "stale": sum(served[each] != expected[each] for each in expected.keys() & served.keys()),
        "to be gone": len(served.keys() - expected.keys()),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "none"


def measure(tools: Sequence[Tool], corpus: Corpus, folder: Path, rounds: int = ROUNDS) -> Results:
    """Take every tool through every case; what repeats, so many rounds."""
    results = Results()

    def case(name: str, files: Files) -> None:
        for tool in tools:
            store = folder / tool.name.replace(", ", "-")
            if tool.is_told and not store.exists():  # its first load is that of kbsync
                shutil.copytree(folder / OURS, store)
                results.figures[tool.name] = {name: results.figures[OURS][name]}
                results.wrong[tool.name] = {name: results.wrong[OURS][name]}
                continue
            figures = tool.sync(store, files)
            results.figures.setdefault(tool.name, {}).setdefault(name, []).append(figures)
            served = tool.served(store)
            results.wrong.setdefault(tool.name, {})[name] = difference(served, corpus.expected)
            if name in WITHDRAWN:
                kept = len(served.keys() & files.changed_ids)
                results.still_served.setdefault(tool.name, {})[name] = f"{kept} of {len(files.changed_ids)}"

    cold = corpus.same("cold")
    for tool in (each for each in tools if not each.is_told):
        results.crashed[tool.name] = crash(tool, cold, corpus.expected, folder)
    case("cold", cold)
    for number in range(rounds):
        case("no-op", corpus.same(f"no-op-{number}"))
    for number in range(rounds):
        case("1 % edited", corpus.edited(number + 1))
    case("reopened", corpus.reopened())
    case("removed", corpus.removed())
    return results


def crash(tool: Tool, files: Files, expected: Mapping[str, int], folder: Path) -> str:
    """Kill a first run in the embedder, halfway, run it again, and tell what was lost or done twice."""
    store, log = folder / f"crash-{tool.name}", folder / "embedded"
    log.write_text("", encoding="ascii")
    try:
        tool.sync(store, files, **{EMBEDDED_LOG: str(log), KILL_AFTER: str(len(expected) // 2)})
    except subprocess.CalledProcessError:
        embedded = sum(map(int, log.read_text(encoding="ascii").split()))
    else:
        return "was not killed"
    tool.sync(store, files, **{EMBEDDED_LOG: str(log)})
    in_all = sum(map(int, log.read_text(encoding="ascii").split()))
    return f"{embedded} | {in_all - embedded} | {difference(tool.served(store), expected)}"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one Markdown table."""
    print(f"\n| {' | '.join(head)} |\n|---|{'---:|' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def seconds(results: Results, tool: str) -> list[str]:
    """Return one tool's cells: whole seconds and ratio to kbsync for each timed case, then seconds inside."""
    cells = [tool]
    for case in TIMED:
        best, ours = results.best(tool, case), results.best(OURS, case)
        inside = best.told["inside_seconds"]
        cells += [f"{best.seconds:.1f}", f"{best.seconds / ours.seconds:.2f}", f"{inside:.2f}"]
    without = results.best(tool, "cold")
    return [*cells, f"{without.seconds - without.told['embedding_seconds']:.1f}"]


def counts(results: Results, tool: str, case: str) -> list[str]:
    """Return what one tool counted in a case's first round, and what it served wrongly after the last."""
    figures = results.figures[tool][case]
    told, best = figures[0].told, results.best(tool, case)
    numbers = [f"{told.get(name, 0):.0f}" for name in ("written", "embedded", "deleted")]
    memory = f"{max(each.told['peak_mib'] for each in figures):.0f}"
    return [tool, case, *numbers, f"{best.cpu_seconds:.1f}", memory, results.wrong[tool][case]]


def report(results: Results) -> None:
    """Print all tables."""
    tools = list(results.figures)
    head = ["tool"]
    for case in TIMED:
        head += [f"{case} s", "to kbsync", "inside s"]
    print_table([*head, "cold s without embedding"], [seconds(results, tool) for tool in tools])
    head = ["tool", "case", "written", "embedded", "deleted", "CPU s", "peak MiB", "served wrongly after"]
    cases = (*TIMED, *WITHDRAWN)
    print_table(head, [counts(results, tool, case) for tool in tools for case in cases])
    print_table(
        ["still served", *WITHDRAWN],
        [[tool, *(results.still_served[tool][case] for case in WITHDRAWN)] for tool in tools],
    )
    print_table(
        ["killed halfway", "embedded before", "embedded by the next run", "served wrongly after"],
        [[tool, crashed] for tool, crashed in results.crashed.items()],
    )


def main() -> None:
    """Install, measure, print."""
    parser = argparse.ArgumentParser(description="kbsync beside its peers, on the same documents.")
    parser.add_argument("documents", type=Path, help="JSON Lines, one closed incident a line")
    parser.add_argument("--limit", type=int, help="only so many documents")
    parser.add_argument("--only", nargs="*", default=list(NAMES), choices=NAMES, help="only these tools")
    options = parser.parse_args()
    tools, shown = [], [f"kbsync {version('kbsync')}"]
    for name in dict.fromkeys((OURS, *options.only)):
        try:
            tools.append(Tool(name, installed(name)))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name} is left out: {error}")
            continue
        if not name.startswith(OURS):
            shown.append(versions(name))
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}; {'; '.join(shown)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(options.documents, Path(folder), options.limit)
        report(measure(tools, corpus, Path(folder)))
    print(f"\n{len(corpus.expected)} documents are to be served at the end; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
