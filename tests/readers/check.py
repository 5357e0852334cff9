"""Reads a coordinator's published hours with libraries that none of us wrote.

usage: check.py URL    where URL is the coordinator's port for readers, such as http://127.0.0.1:8080
"""

import json
import sys
import tempfile
import urllib.request

import duckdb
import pandas
import polars

COLUMNS = ["hour", "asn", "target", "outcome", "vantage_points_at_least"]
OUTCOMES = {"fine", "mixed", "failing", "hidden"}


def main() -> int:
    base = sys.argv[1].rstrip("/")
    with urllib.request.urlopen(f"{base}/archive/manifest.jsonl") as answer:
        hours = [json.loads(line) for line in answer]
    files = [file for hour in hours for file in hour["files"] if file["audience"] == "public"]
    if not files:
        print("no public file is sealed yet", file=sys.stderr)
        return 1
    for file in files:
        url = f"{base}/archive/{file['path']}"
        # Over HTTP, by ranges; DuckDB needs an extension from its own site for that, so it gets a local copy.
        with_pandas, with_polars = pandas.read_parquet(url), polars.read_parquet(url)
        with tempfile.NamedTemporaryFile(suffix=".parquet") as copy:
            with urllib.request.urlopen(url) as answer:
                copy.write(answer.read())
            copy.flush()
            with_duckdb = duckdb.sql(f"select * from '{copy.name}'").fetchall()
        assert list(with_pandas.columns) == COLUMNS == with_polars.columns, with_pandas.columns
        assert len(with_pandas) == len(with_polars) == len(with_duckdb) == file["rows"], file
        assert set(with_pandas.outcome) <= OUTCOMES, set(with_pandas.outcome)
        shown = with_pandas[with_pandas.outcome != "hidden"]
        assert (shown.vantage_points_at_least >= 3).all(), file
    print(f"{len(files)} files of {len(hours)} hours read alike by pandas, Polars and DuckDB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
