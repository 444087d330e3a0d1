"""``modalign``, ``python -m modalign`` and ``torchrun -m modalign``: a door that hears Ctrl-C at any moment."""

import signal
import sys


def main() -> None:
    """Load the program and run it; see ``modalign.cli.main``."""
    try:
        from .cli import main as program

        program()
    except KeyboardInterrupt:  # while it was loaded, or once more while it was ending
        print("modalign: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to end but Python itself


if __name__ == "__main__":
    main()
