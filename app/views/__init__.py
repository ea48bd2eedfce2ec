"""What each page shows, as plain values: pure functions of what the index tells. No Streamlit here."""
