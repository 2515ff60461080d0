#!/bin/sh
# Counts the methods of the Python client library that reach a route of the emulator, and compares the figure with that of
# connector/emulator/API.md. Needs Python 3.9 or newer with venv, and a package index.
set -eu
version=${VERSION:-0.162.0}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check "databricks-sdk==$version"
${GO:-go} build -o "$work/ucwarden" ./cmd/ucwarden
"$work/ucwarden" emulator unitycatalog --addr 127.0.0.1:0 --token reach >"$work/out" 2>"$work/log" &
server=$!
url=
for _ in 1 2 3 4 5 6 7 8 9 10; do
	url=$(sed -n 's/^Unity Catalog emulator at //p' "$work/out")
	test -z "$url" || break
	sleep 1
done
if test -z "$url"; then
	cat "$work/log" >&2
	exit 1
fi
figure=$("$work/venv/bin/python" tools/pythonreach/reach.py "$url" reach)
echo "$figure"
if ! tr '\n' ' ' <connector/emulator/API.md | grep -qF "$figure"; then
	echo 'connector/emulator/API.md has another figure' >&2
	exit 1
fi
