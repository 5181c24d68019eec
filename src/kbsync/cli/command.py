"""What all commands share: options before or after the name, settings, engine, errors to exit codes.

May import bootstrap, settings and errors. Invariant: results go to stdout, everything else to stderr; an
error of ours is one line and its hint, never a traceback.
"""

import inspect
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from kbsync.bootstrap import build_engine, home_exists
from kbsync.cli.terminal import is_terminal, plain, print_json
from kbsync.engine import Engine
from kbsync.errors import BusyError, ConfigInvalidError, KbSyncError, UsageError
from kbsync.setting_sources import load_settings
from kbsync.settings import Settings

OK, SOME_FAILED, BAD_USAGE, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes; DESIGN.md, section 7, and the shell's for Ctrl-C."""

PIPE_WIDTH = 160
"""Columns of a table where no terminal says how wide it is."""

_PANEL = "Common options, before or after the command"
_SETTINGS = ("home", "config", "backend")

Home = Annotated[
    str | None,
    typer.Option("--home", metavar="DIR", help="Folder of the embedded backend.", rich_help_panel=_PANEL),
]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Settings file (TOML).", rich_help_panel=_PANEL)
]
Backend = Annotated[
    str | None, typer.Option("--backend", metavar="local|aws", help="Backend.", rich_help_panel=_PANEL)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.", rich_help_panel=_PANEL)]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Show where an unexpected error began.", rich_help_panel=_PANEL)
]


@dataclass(frozen=True)
class Call:
    """One call of a command: what the common options said, and where its output goes."""

    flags: Mapping[str, object]
    as_json: bool = False
    verbose: bool = False

    @cached_property
    def settings(self) -> Settings:
        """The settings of this call; raises ConfigInvalidError with every problem."""
        settings = load_settings(self.flags, os.environ)
        logging.getLogger("kbsync").setLevel(settings.log_level)
        return settings

    def engine(self, *, create: bool = False) -> Engine:
        """Return the engine; only a command that may begin a home creates one.

        Raises:
            UsageError: there is no home, and this command needs one.
        """
        if self.settings.backend == "local" and not create and not home_exists(self.settings):
            raise UsageError(
                f"there is no kbsync home in {self.settings.home}",
                hint="begin one with `kbsync init` or `kbsync import FILE`, or name another with --home",
            )
        return build_engine(self.settings)

    @property
    def out(self) -> Console:
        """Standard output, for results."""
        return Console(highlight=False, width=None if is_terminal(sys.stdout) else PIPE_WIDTH)

    @property
    def err(self) -> Console:
        """Standard error, for everything else."""
        return Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def shows_progress(self) -> bool:
        """Whether somebody watches."""
        return is_terminal(sys.stderr)

    def answer(self, view: object, show: Callable[[], None]) -> None:
        """Print a result: as JSON where that was asked for, else as it is shown to people."""
        if self.as_json:
            print_json(view)
        else:
            show()

    def hint(self, text: str) -> None:
        """Tell people what to type next; programs are not told."""
        if not self.as_json:
            self.out.print(Text(text, style="dim"))

    def fail(self, message: str, hint: str = "") -> None:
        """Print an error on stderr: as JSON where that was asked for."""
        if self.as_json:
            sys.stderr.write(json.dumps({"error": message, "hint": hint}) + "\n")
            return
        self.err.print(Text.assemble(("error: ", "bold red"), plain(message)))
        if hint:
            self.err.print(Text(f"hint: {plain(hint)}", style="dim"))


Body = Callable[..., int | None]


def common_options(context: typer.Context, given: Mapping[str, Any]) -> Call:
    """Return the call that these options and those before the command's name make together."""
    before = context.obj if isinstance(context.obj, Call) else Call({})
    flags = {name: given[name] for name in _SETTINGS if given[name] is not None}
    return Call(
        {**before.flags, **flags},
        as_json=before.as_json or given["as_json"],
        verbose=before.verbose or given["verbose"],
    )


_COMMON = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("home", None, Home),
        ("config", None, Config),
        ("backend", None, Backend),
        ("as_json", False, Json),
        ("verbose", False, Verbose),
    )
)


def add_command(app: typer.Typer, name: str, body: Body, *, panel: str, examples: Sequence[str]) -> None:
    """Register a command: `body` gets the Call, then its own parameters, and returns its exit code.

    Its docstring is the help text; the examples follow it.
    """
    own = list(inspect.signature(body).parameters.values())[1:]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

    def command(**values: Any) -> None:  # Any: typer passes what the signature below declares
        call = common_options(values["context"], values)
        raise typer.Exit(run_body(call, lambda: body(call, **{each.name: values[each.name] for each in own})))

    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    signature = inspect.Signature([context, *keyword_only, *_COMMON])
    command.__signature__ = signature  # type: ignore[attr-defined] # what inspect.signature reads first
    command.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
    epilog = "\n\n".join(["Examples:", *(f"$ {example}" for example in examples)])
    short = inspect.getdoc(body) or ""
    app.command(name, help=short.split("\n\nRaises:")[0], epilog=epilog, rich_help_panel=panel)(command)


def run_body(call: Call, body: Callable[[], int | None]) -> int:
    """Run a command's body and return its exit code; whatever goes wrong is told in one line."""
    try:
        return body() or OK
    except BusyError as error:
        call.fail(str(error), error.hint or "another run is active; try again when it has ended")
        return OK
    except KbSyncError as error:
        call.fail(str(error), error.hint)
        return BAD_USAGE if isinstance(error, UsageError | ConfigInvalidError) else COULD_NOT_RUN
    except KeyboardInterrupt:
        call.fail("interrupted", "what was done stands; run it again to go on")
        return INTERRUPTED
    except (BrokenPipeError, typer.Exit, typer.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence; no incident text in what it prints
        if call.verbose:
            traceback.print_exc()
        call.fail(f"unexpected {type(error).__name__}", "run it again with --verbose to see where it began")
        return COULD_NOT_RUN
