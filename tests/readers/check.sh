#!/usr/bin/env bash
# Reads a running coordinator's published hours with pandas, Polars and DuckDB.
#
# usage: tests/readers/check.sh URL     such as http://127.0.0.1:8080
#
# Exits with 0 if all read the same, with 1 if not, and with 77 if the Python index cannot be reached.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
venv=${XDG_CACHE_HOME:-$HOME/.cache}/faultline-readers
if ! "$venv/bin/python" -c 'import pandas, polars, duckdb, pyarrow, aiohttp, pytz' 2>/dev/null; then
  python3 -m venv "$venv" \
    && "$venv/bin/pip" install --quiet --disable-pip-version-check pandas pyarrow polars duckdb pytz fsspec aiohttp \
    || { echo "skipped: the libraries cannot be installed from the Python index" >&2; exit 77; }
fi
"$venv/bin/python" "$here/check.py" "$1"
