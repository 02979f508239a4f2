"""What pages and reports draw: figures of numbers and of recordings, in a language and a theme, without Streamlit."""
