#!/bin/sh
# Counts the commands of the Databricks CLI that reach a route of the emulator. CLI= names the program; default: databricks
# on the path. Needs Python 3.9 or newer.
set -eu
cli=$(command -v "${CLI:-databricks}") || { echo 'no Databricks CLI: install it, or name it by CLI=' >&2; exit 1; }
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$work"' EXIT
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
python3 tools/databrickscli/reach.py "$cli" "$url" reach
