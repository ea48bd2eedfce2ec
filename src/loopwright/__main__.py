"""``python -m loopwright`` is the command ``loopwright``."""

from __future__ import annotations

from loopwright.cli import main

if __name__ == "__main__":
    main()
