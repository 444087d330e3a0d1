"""``python -m modalign``, also for ``torchrun -m modalign``."""

from .cli import main

if __name__ == "__main__":
    main()
