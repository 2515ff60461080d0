#!/bin/sh
# Counts the commands of the Databricks CLI that reach a route of the emulator. CLI= names the program; default: databricks
# on the path. Needs Python 3.9 or newer.
set -eu
cli=$(command -v "${CLI:-databricks}") || { echo 'no Databricks CLI: install it, or name it by CLI=' >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../withemulator.sh" python3 "$here/reach.py" "$cli"
