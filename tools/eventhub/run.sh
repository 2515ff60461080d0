#!/usr/bin/env bash
# run.sh: uses the event hub emulator with clients that are not ours, azure-eventhub and python-qpid-proton, which it installs
# into WORK. Needs Python 3.9 or newer. Exits with 1 where something does not work.
set -euo pipefail
cd "$(dirname "$0")"

work=${WORK:-${TMPDIR:-/tmp}/ucwarden-eventhub}
mkdir -p "$work"
[ -x "$work/venv/bin/python" ] || python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q azure-eventhub==5.15.1 python-qpid-proton==0.40.0
(cd ../.. && GOFLAGS=-buildvcs=false go build -o "$work/ucwarden" ./cmd/ucwarden)

for more in '' --geo-replicated; do
	rm -f "$work/connection"
	"$work/ucwarden" emulator eventhub --addr 127.0.0.1:0 --hub tasks --partitions 3 $more > "$work/connection" &
	emulator=$!
	trap 'kill $emulator 2>/dev/null || true' EXIT
	until [ -s "$work/connection" ]; do kill -0 $emulator; sleep 0.1; done
	echo "emulator ${more:-with offsets as usual}"
	"$work/venv/bin/python" clients.py "$(cat "$work/connection")" tasks 3
	kill $emulator
	wait $emulator
done
