"""`python -m sciworld`, which `torchrun -m sciworld` begins several times."""

from __future__ import annotations

from sciworld.cli import main

if __name__ == "__main__":
    main()
