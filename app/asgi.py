"""What the server serves: the dashboard's script behind its front. ``app/app.py`` alone is the same dashboard, which a browser loads more slowly."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from app.front import Front

app = st.App(Path(__file__).resolve().parent / "app.py", middleware=[Middleware(Front)])
