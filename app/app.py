"""Entry of the dashboard: ``python -m streamlit run app/app.py -- WORKSPACE`` (or `loopwright app`)."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
if sys.path[0] != str(HERE.parent):
    sys.path.insert(0, str(HERE.parent))  # before the script's own folder, where `app` would be this file

st.set_page_config(page_title="Loopwright", page_icon=str(HERE / "static" / "icon.png"), layout="wide")
st.navigation([st.Page(HERE / "pages" / "cycles.py", title="Cycles", default=True)], position="top").run()
