"""Copies of a store with something wrong in them: what the checkers must notice."""

import sqlite3
from contextlib import closing


def copy(directory, target):
    """Copies the tables of a store into plain tables, where any row can be changed."""
    target.mkdir()
    with closing(sqlite3.connect(target / "store.db")) as database:
        database.execute("ATTACH ? AS original", (str(directory / "store.db"),))
        for table in ("requests", "sessions", "schema_changes"):
            database.execute(f"CREATE TABLE {table} AS SELECT * FROM original.{table}")
        database.commit()
    return target


def change(directory, statement, *parameters):
    """Changes a copy; exactly one row must be touched, or the tampering itself is wrong."""
    with closing(sqlite3.connect(directory / "store.db")) as database:
        touched = database.execute(statement, parameters).rowcount
        database.commit()
    if touched != 1:
        raise AssertionError(f"{touched} rows touched by: {statement}")
