#!/usr/bin/env bash
# Lets OONI's own package parse and observe measurements that Faultline exported.
#
# usage: tests/oonidata/check.sh FILE|DIR...    JSON lines of `faultline export --ooni` or
#                                               `faultline-coordinator export --ooni`, or a folder of `*.jsonl` of
#                                               `country cases --export` and `country run --endpoints --export`
#
# Two versions of the package are needed: 0.3.0 has today's data model, and 0.2.3 is the last that makes observations
# (in later ones that is part of a pipeline which the index does not have). Exits with 0 if every measurement is parsed
# by both and observed, with 1 if one is not, and with 77 if the Python index cannot be reached.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venvs=${OONIDATA_VENVS:-${XDG_CACHE_HOME:-$HOME/.cache}/faultline-oonidata}
[ $# -gt 0 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
for version in 0.2.3 0.3.0; do
  if ! "$venvs/$version/bin/python" -c 'import oonidata' 2>/dev/null; then
    python3 -m venv "$venvs/$version" \
      && "$venvs/$version/bin/pip" install --quiet --disable-pip-version-check "oonidata==$version" \
      || { echo "skipped: oonidata $version cannot be installed from the Python index" >&2; exit 77; }
  fi
done
files=()
for path; do
  if [ -d "$path" ]; then files+=("$path"/*.jsonl); else files+=("$path"); fi
done
for version in 0.2.3 0.3.0; do
  "$venvs/$version/bin/python" "$here/check.py" "${files[@]}"
done
