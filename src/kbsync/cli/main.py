"""The command line: every command with its examples, and the way into it. Imports the CLI's own modules.

Invariant: importing this module reads no settings and opens nothing.
"""

import io
import logging
import sys
from typing import Annotated

import typer

import kbsync
from kbsync.cli.approve import approve
from kbsync.cli.backfill import backfill
from kbsync.cli.capacity import plan_capacity
from kbsync.cli.command import (
    BAD_USAGE,
    SOME_FAILED,
    Backend,
    Call,
    Config,
    Home,
    Json,
    Verbose,
    add_command,
    common_options,
)
from kbsync.cli.demo import demo
from kbsync.cli.doctor import doctor
from kbsync.cli.exporting import export
from kbsync.cli.importing import import_file
from kbsync.cli.incidents import close, delete, init, reopen
from kbsync.cli.looking import config, explain, open_document, quarantine, runs, show, status
from kbsync.cli.mcp import mcp
from kbsync.cli.purging import purge
from kbsync.cli.quality import eval_
from kbsync.cli.reconcile import reconcile
from kbsync.cli.redacting import redaction
from kbsync.cli.running import pause, resume, retry, sync, watch
from kbsync.cli.search import search
from kbsync.cli.serve import serve
from kbsync.cli.useful import useful
from kbsync.cli.withdrawing import withdraw
from kbsync.cli.writeups import writeups

BEGIN, INCIDENTS, WORK, LOOK = "Begin", "Incidents", "Work", "Look"

app = typer.Typer(
    name="kbsync",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 nothing failed, 1 some failed, 2 bad usage or settings, 3 nothing worked.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kbsync {kbsync.__version__}")
        raise typer.Exit


@app.callback(help="Closed incidents become searchable knowledge, and stay true.")
def main(  # noqa: PLR0913 - the common options, as every command has them, and --version
    context: typer.Context,
    *,
    home: Home = None,
    config_: Config = None,
    backend: Backend = None,
    as_json: Json = False,
    verbose: Verbose = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Keep what the common options say for the command that follows."""
    del version  # its callback has answered
    given = {"home": home, "config": config_, "backend": backend, "as_json": as_json, "verbose": verbose}
    context.obj = common_options(context, given)


def _register() -> None:
    """Add all commands, in the order in which help lists them."""
    add_command(
        app, "demo", demo, panel=BEGIN,
        examples=["kbsync demo", "kbsync demo --home /tmp/kbsync-demo"],
    )  # fmt: skip
    add_command(
        app, "init", init, panel=BEGIN,
        examples=["kbsync init", "kbsync init --home /srv/kbsync"],
    )  # fmt: skip
    add_command(
        app, "config", config, panel=BEGIN,
        examples=["kbsync config", "KBSYNC_HOME=/srv/kbsync kbsync config --json"],
    )  # fmt: skip
    add_command(
        app, "import", import_file, panel=INCIDENTS,
        examples=["kbsync import incidents.jsonl", "kbsync import tickets.csv --json",
                  "cat incidents.jsonl | kbsync import -", "kbsync import --from jira issues.csv",
                  "kbsync import --from auto export.xml",
                  "kbsync import --show-mapping servicenow > mine.toml",
                  "kbsync import --mapping mine.toml incident.csv"],
    )  # fmt: skip
    add_command(
        app, "export", export, panel=INCIDENTS,
        examples=["kbsync export --jsonl incidents.jsonl", "kbsync export --csv incidents.csv",
                  "kbsync export | head -1"],
    )  # fmt: skip
    add_command(
        app, "close", close, panel=INCIDENTS,
        examples=["kbsync close INC-1001",
                  "kbsync close INC-1001 --resolution 'Pool raised to 40' --root-cause 'Leak in retries'"],
    )  # fmt: skip
    add_command(
        app, "reopen", reopen, panel=INCIDENTS,
        examples=["kbsync reopen INC-1001", "kbsync reopen INC-1001 --status IN_PROGRESS"],
    )  # fmt: skip
    add_command(
        app, "delete", delete, panel=INCIDENTS,
        examples=["kbsync delete INC-1001", "kbsync delete INC-1001 --yes"],
    )  # fmt: skip
    _register_work()
    _register_looks()


def _register_work() -> None:
    add_command(
        app, "sync", sync, panel=WORK,
        examples=["kbsync sync", "kbsync sync --dry-run", "kbsync sync --no-wait --json"],
    )  # fmt: skip
    add_command(
        app, "watch", watch, panel=WORK,
        examples=["kbsync watch --every 1h", "kbsync watch --every 5m --json"],
    )  # fmt: skip
    add_command(
        app, "retry", retry, panel=WORK,
        examples=["kbsync retry INC-1001", "kbsync retry --all"],
    )  # fmt: skip
    add_command(
        app, "approve", approve, panel=WORK,
        examples=["kbsync approve", "kbsync approve 3f9c1a7be20d4456"],
    )  # fmt: skip
    add_command(
        app, "reconcile", reconcile, panel=WORK,
        examples=["kbsync reconcile", "kbsync reconcile --repair", "kbsync reconcile --json"],
    )  # fmt: skip
    add_command(
        app, "withdraw", withdraw, panel=WORK,
        examples=["kbsync withdraw --all", "kbsync withdraw --all --yes --reason 'moving to another account'",
                  "kbsync withdraw --undo"],
    )  # fmt: skip
    add_command(
        app, "purge", purge, panel=WORK,
        examples=["kbsync purge --incident INC-1001",
                  "kbsync purge --incident INC-1001 --delete-incident --yes",
                  "kbsync purge --pattern-file leaked.txt", "kbsync purge --release INC-1001",
                  "kbsync purge --list"],
    )  # fmt: skip
    add_command(
        app, "backfill", backfill, panel=WORK,
        examples=["kbsync backfill --dry-run", "kbsync backfill ./AWSDynamoDB/01700000000000-abcdef01",
                  "kbsync --backend aws backfill s3://exports/AWSDynamoDB/0170/manifest-files.json"],
    )  # fmt: skip
    add_command(
        app, "pause", pause, panel=WORK,
        examples=["kbsync pause --reason 'migrating the table'"],
    )  # fmt: skip
    add_command(app, "resume", resume, panel=WORK, examples=["kbsync resume"])


def _register_looks() -> None:
    add_command(
        app, "search", search, panel=LOOK,
        examples=["kbsync search 'connections time out on orders-db'",
                  "kbsync search 'disk full' -n 3 --severity high --since 2025-01-01",
                  "kbsync search --like INC-1001", "kbsync search - < stacktrace.txt"],
    )  # fmt: skip
    add_command(app, "show", show, panel=LOOK, examples=["kbsync show INC-1001"])
    add_command(
        app, "open", open_document, panel=LOOK,
        examples=["kbsync open INC-1001", 'less "$(kbsync open INC-1001)"'],
    )  # fmt: skip
    add_command(
        app, "explain", explain, panel=LOOK,
        examples=["kbsync explain INC-1001", "kbsync explain INC-1001 --json"],
    )  # fmt: skip
    add_command(
        app, "redaction", redaction, panel=LOOK,
        examples=["kbsync redaction report", "kbsync redaction report --rule email --json"],
    )  # fmt: skip
    add_command(app, "status", status, panel=LOOK, examples=["kbsync status", "kbsync status --json"])
    add_command(app, "runs", runs, panel=LOOK, examples=["kbsync runs", "kbsync runs --limit 50 --json"])
    add_command(
        app, "quarantine", quarantine, panel=LOOK,
        examples=["kbsync quarantine", "kbsync quarantine --limit 1000 --json"],
    )  # fmt: skip
    add_command(
        app, "useful", useful, panel=LOOK,
        examples=["kbsync useful INC-1001 --query 'connections time out on orders-db'",
                  "kbsync useful INC-1001 --undo"],
    )  # fmt: skip
    add_command(
        app, "plan-capacity", plan_capacity, panel=LOOK,
        examples=["kbsync plan-capacity", "kbsync plan-capacity --closes 1000 --documents 1000000",
                  "kbsync plan-capacity --closes 1000000 --documents 100000000 --knowledge-bases 56",
                  "kbsync plan-capacity --set ingested_per_second=60 --json"],
    )  # fmt: skip
    add_command(
        app, "writeups", writeups, panel=LOOK,
        examples=["kbsync writeups", "kbsync writeups --by category --limit 100 --json"],
    )  # fmt: skip
    add_command(
        app, "eval", eval_, panel=LOOK,
        examples=["kbsync eval", "kbsync eval --fail-under hit@5=.80 --fail-under error:mrr=.6",
                  "kbsync eval --questions mine.jsonl --json",
                  "kbsync eval --compare EMBEDDER=none --compare DOCUMENT_LANGUAGE=en"],
    )  # fmt: skip
    add_command(app, "mcp", mcp, panel=LOOK, examples=["kbsync mcp", "kbsync mcp --http --port 0"])
    add_command(
        app, "serve", serve, panel=LOOK,
        examples=["kbsync serve", "kbsync serve --port 0 --allow-actions",
                  "SERVE_TOKEN=... kbsync serve --host 0.0.0.0"],
    )  # fmt: skip
    add_command(app, "doctor", doctor, panel=LOOK, examples=["kbsync doctor", "kbsync doctor --json"])


_register()


def run() -> int:
    """Run the command line of this process and return its exit code.

    Wrong usage is told as an error of ours: one line, as JSON where that was asked for, exit code 2.
    """
    _prepare_streams()
    try:
        code = app(prog_name="kbsync", standalone_mode=False)
    except typer.Abort:
        sys.stderr.write("Nothing was done.\n")
        return SOME_FAILED
    except typer.TyperException as error:  # wrong usage
        return _tell_usage(error)
    return code if isinstance(code, int) else 0


def _tell_usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "kbsync"
    call = Call({}, as_json="--json" in sys.argv)
    if error.format_message():
        call.fail(error.format_message(), f"`{command} --help` shows how it is used")
    return BAD_USAGE


def _prepare_streams() -> None:
    """Let a character that the terminal does not know be replaced rather than end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger("kbsync").addHandler(handler)
