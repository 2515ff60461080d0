#!/bin/sh
# Runs a command with the URL and the token of a Unity Catalog emulator, made from this tree, as its last arguments. WORK is a
# folder that goes when the command has ended.
set -eu
cd "$(dirname "$0")/.."
WORK=$(mktemp -d)
export WORK
: >"$WORK/out" # the shell that starts the server may be slower than the first look
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$WORK"' EXIT
${GO:-go} build -o "$WORK/ucwarden" ./cmd/ucwarden
"$WORK/ucwarden" emulator unitycatalog --addr 127.0.0.1:0 --token reach >"$WORK/out" 2>"$WORK/log" &
server=$!
url=
for _ in 1 2 3 4 5 6 7 8 9 10; do
	url=$(sed -n 's/^Unity Catalog emulator at //p' "$WORK/out")
	test -z "$url" || break
	sleep 1
done
if test -z "$url"; then
	cat "$WORK/log" >&2
	exit 1
fi
"$@" "$url" reach
