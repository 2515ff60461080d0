#!/bin/sh
# Counts the methods of the Python client library that reach a route of the emulator, and compares the figure with that of
# connector/emulator/API.md. Needs Python 3.9 or newer with venv, and a package index.
set -eu
version=${VERSION:-0.162.0}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check "databricks-sdk==$version"
figure=$("$here/../withemulator.sh" "$work/venv/bin/python" "$here/reach.py")
echo "$figure"
if ! tr '\n' ' ' <"$here/../../connector/emulator/API.md" | grep -qF "$figure"; then
	echo 'connector/emulator/API.md has another figure' >&2
	exit 1
fi
