"""Streamlit's own command over `app.asgi`, with what every page needs made ready beside it: ``python -m app.serve run app/asgi.py …``.

The first visitor would wait for these imports, and a server has nothing else to do until somebody comes.
"""

from __future__ import annotations

import contextlib
import importlib
import threading

from app.contents import PAGES
from app.front import warm

__all__ = ["main"]


def _warm() -> None:
    for name in ("pandas", "pyarrow", "altair", *(f"app.views.{page.name}" for page in PAGES)):
        with contextlib.suppress(ImportError):  # what is missing its page says
            importlib.import_module(name)
    warm()


def main() -> None:
    """Serve until interrupted."""
    from streamlit.web.cli import main as streamlit

    threading.Thread(target=_warm, daemon=True).start()
    streamlit(prog_name="streamlit")


if __name__ == "__main__":
    main()
