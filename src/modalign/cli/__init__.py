"""The program: each module parses and calls, no logic. Heavy imports happen inside the commands: --help is quick."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from cyclopts import App, CycloptsError, MissingArgumentError, UnknownCommandError, UnusedCliTokensError

from .. import __version__
from ..errors import LostRankError, ModalignError, one_line, unknown
from ..parameters import checked
from . import fitting, measuring, moving, searching

#: How threads wait for each other: spinning for some tens of microseconds, then asleep. Asleep at once, small products
#: take twice as long on free cores; spinning on, many times as long on cores that are busy with other work.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "3000"}

app = App(
    name="modalign",
    version=__version__,
    help="Align what several encoders see in one shared space, by its geometry.",
    help_epilogue="Start with: modalign demo",
    suppress_keyboard_interrupt=False,
)
for _command in (
    fitting.demo, fitting.align, fitting.transform, fitting.embed, fitting.train, fitting.finetune,
    measuring.evaluate, measuring.diagnose, measuring.bench, measuring.report,
    searching.index, searching.search, searching.serve, moving.migrate, moving.remap, measuring.check, moving.export,
):  # fmt: skip
    app.command(checked(_command))
app.command(measuring.list_parts, name="list")


def fail(message: str, code: int = 2) -> NoReturn:
    """One line on standard error, then exit."""
    print(f"modalign: {one_line(' '.join(message.split()))}", file=sys.stderr)
    raise SystemExit(code)


def mistake(problem: CycloptsError) -> str:
    """What is wrong with a command line, by the command's name and what it takes."""
    command = " ".join(problem.command_chain or ())
    said = str(problem).rstrip(".")
    if isinstance(problem, UnknownCommandError) and problem.unused_tokens:
        said = str(unknown("command", problem.unused_tokens[0], (name for name in app if name[0] != "-")))
    elif isinstance(problem, UnusedCliTokensError):
        said = f"{command} does not take {', '.join(map(repr, problem.unused_tokens or ()))}"
    elif isinstance(problem, MissingArgumentError) and (wanted := problem.argument) is not None:
        named = wanted.field_info.kind is wanted.field_info.KEYWORD_ONLY
        said = f"{command} needs {wanted.name if named else wanted.name.lstrip('-').upper()}"
        said += " with a value" if problem.keyword or wanted.tokens else ""
    return f"{said}  (see: {' '.join(['modalign', command]).strip()} --help)"


class _Terminated(KeyboardInterrupt):
    """A scheduler or ``kill`` ends the program (SIGTERM): to the work inside, the same as Ctrl-C."""


def _terminated(*_: Any) -> None:
    raise _Terminated


@contextmanager
def _terminable() -> Iterator[None]:
    """Hear SIGTERM, unless whoever called has an answer of their own to it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stand() -> None:
    """Refuse a current folder that is gone: libraries that ask for it while they are loaded end the program."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ModalignError("the current folder was removed: change to another one (cd), then run this again") from None


def main(argv: list[str] | None = None) -> None:
    """Entry point: 0 on success, 1 where some of the work failed, 2 on a mistake, 130 after Ctrl-C, 143 after SIGTERM.

    A mistake is one line on standard error, never a traceback; after an interruption the line says what was kept.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if "OMP_WAIT_POLICY" not in os.environ:  # read when torch is imported, so it has to be said here
        os.environ.update({**WAITING, **os.environ})
    if os.environ.get("WORLD_SIZE", "1") != "1":  # started by torchrun: what torch notes for itself, each would print
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    for stream in (sys.stdout, sys.stderr):  # a terminal may lack letters that a name or a caption has
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _terminable():
            _stand()
            app(argv, exit_on_error=False, print_error=False, result_action="return_none")
            sys.stdout.flush()  # here a reader who left is told; at the end of Python it would be a complaint
    except CycloptsError as problem:
        fail(mistake(problem))
    except ModalignError as problem:
        fail(str(problem), 1 if isinstance(problem, LostRankError) else 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: nothing to say
    except KeyboardInterrupt as stop:
        done = "; ".join(dict.fromkeys(getattr(stop, "__notes__", ()))) or "files that were written are whole"
        code = 128 + (signal.SIGTERM if isinstance(stop, _Terminated) else signal.SIGINT)
        fail(f"interrupted; {done}; run the same command again to go on", code)
    except OSError as problem:  # a disk that is full, a folder that may not be written, a file that is gone
        fail(f"{problem.strerror or problem}{f': {problem.filename}' if problem.filename else ''}")
    except MemoryError:
        fail("there is not enough memory for this: use less data at a time")
