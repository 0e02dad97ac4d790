"""The `doh3d` command: parses, calls, prints; nothing else."""

from __future__ import annotations

import errno
import inspect
import io
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

import doh3d
from doh3d.commands import (
    batch,
    batch_eval,
    batch_export,
    check,
    compress,
    decompress,
    evaluate,
    image,
    info,
    page,
    render,
    report,
    sweep,
    view,
)
from doh3d.commands.log import be_verbose, log_to_stderr
from doh3d.commands.usage import as_options, explain, is_usage_error
from doh3d.errors import Doh3dError, TargetError
from doh3d.interrupts import exit_on_signals

app = typer.Typer(
    name="doh3d",
    help="Compress 3D shapes to about a kilobyte, and get them back at any resolution.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        print(f"doh3d {doh3d.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Say on standard error what is done."),
    ] = False,
) -> None:
    """Options of the command itself."""
    if verbose:
        be_verbose()


app.command("check", epilog=check.EXAMPLES)(check.check)
app.command("compress", epilog=compress.EXAMPLES)(compress.compress)
app.command("decompress", epilog=decompress.EXAMPLES)(decompress.decompress)
app.command("info", epilog=info.EXAMPLES)(info.info)
app.command("eval", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("view", epilog=view.EXAMPLES)(view.view)
app.command("render", epilog=render.EXAMPLES)(render.render)
app.command("page", epilog=page.EXAMPLES)(page.page)
app.add_typer(image.app, name="image")
app.command("batch", epilog=batch.EXAMPLES)(batch.batch)
app.command("batch-export", epilog=batch_export.EXAMPLES)(batch_export.batch_export)
app.command("batch-eval", epilog=batch_eval.EXAMPLES)(batch_eval.batch_eval)
app.command("sweep", epilog=sweep.EXAMPLES)(sweep.sweep)
app.command("report", epilog=report.EXAMPLES)(report.report)

# Typer shows the lines of a docstring as they are, and the screen would break them once more.
for _command in (*app.registered_commands, *image.app.registered_commands):
    _paragraphs = inspect.cleandoc(_command.callback.__doc__ or "").split("\n\n")
    _command.help = "\n\n".join(" ".join(each.split()) for each in _paragraphs)


def main() -> None:
    """Run the command; bad input is one line on standard error and exit status 2."""
    # Threads that wait actively slow each other down many times over on a busy machine. Read
    # by OpenMP when torch loads, which it has not yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A name that is not of the terminal's encoding is no reason to fail when all is done.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with exit_on_signals(), log_to_stderr():
            # Typer returns the status of an Exit rather than raising it.
            # The name, so that `python -m doh3d` completes and explains itself as `doh3d` does.
            status = app(standalone_mode=False, prog_name="doh3d")
            # What was printed may wait until now; at Python's own end it would fail in its words.
            if sys.stdout is not None:
                sys.stdout.flush()
    except TargetError as error:
        _fail(str(error), status=3)
    except Doh3dError as error:
        _fail(as_options(str(error), app))
    except BrokenPipeError:
        # The reader of a pipe has had enough. Typer exits like that where it sees it first.
        _give_up_output()
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _give_up_output()
        _fail(f"{error.filename or 'the output'} cannot be written: {os.strerror(error.errno)}")
    except Exception as error:
        if not is_usage_error(error):
            raise
        message = explain(error)
        # There is none where a group has shown its help, having been given no command.
        if not message:
            sys.exit(2)
        _fail(message)
    sys.exit(status if isinstance(status, int) else 0)


def _give_up_output() -> None:
    """Write nothing more to standard output, at Python's end neither."""
    with suppress(OSError, AttributeError):
        sys.stdout.close()


def _fail(message: str, *, status: int = 2) -> None:
    print("doh3d: error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)
