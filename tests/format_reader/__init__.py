"""The parts of the reader in ../format_reader.py, written from format.md alone."""
