#!/bin/sh
# Runs schemathesis, all its checks, by the document that a daemon serves, against that daemon. Any finding fails. Needs
# Python 3.10 or newer with venv, and a package index; SCHEMATHESIS= names one that is installed. Arguments go to schemathesis:
# tools/schemathesis/run.sh --max-examples 1000 --seed 7
set -eu
version=${VERSION:-4.32.5}
here=$(cd "$(dirname "$0")" && pwd)
if test "${1:-}" != --emulated; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	if test -z "${SCHEMATHESIS:-}"; then
		python3 -m venv "$work/venv"
		"$work/venv/bin/pip" install -q --disable-pip-version-check "schemathesis==$version"
		SCHEMATHESIS=$work/venv/bin/schemathesis
	fi
	export SCHEMATHESIS
	"$here/../withemulator.sh" "$here/run.sh" --emulated "$@"
	exit
fi
shift

# From here on WORK has the program, and an emulator serves; its URL and token are the last two arguments.
n=$#
i=0
for argument; do
	shift
	i=$((i + 1))
	case $((n - i)) in
	1) host=$argument ;;
	0) token=$argument ;;
	*) set -- "$@" "$argument" ;;
	esac
done
cd "$WORK"
./ucwarden keys generate --instance fuzz --out . >keys.log
cat >policies.yaml <<'POLICIES'
id: 1
name: nobody reads
resources: {catalog: {values: [none]}, schema: {values: [s]}, table: {values: ["t*"]}}
policyItems: [{groups: [analysts], accesses: [{type: select}]}]
POLICIES
cat >ucwarden.yaml <<CONFIG
databricks: {host: "$host", token: "$token"}
policies: {path: policies.yaml}
store: {path: data}
ondemand: {enabled: true}
apiserver: {enabled: true, addr: "127.0.0.1:0", rate_limit: 0, jwt: {jwks: fuzz/api-server/jwks.json}}
sync: {on_start: false, interval: 24h}
CONFIG
: >serve.log
./ucwarden serve -c ucwarden.yaml >serve.out 2>serve.log &
daemon=$!
trap 'kill "$daemon"' EXIT
addr=
for _ in 1 2 3 4 5 6 7 8 9 10; do
	addr=$(sed -n 's/.*msg="serving tasks" addr=//p' serve.log)
	test -z "$addr" || break
	sleep 1
done
if test -z "$addr"; then
	cat serve.log >&2
	exit 1
fi
# What is too large is refused as that (413, 431), whatever else is wrong with it; schemathesis expects others alone.
cat >schemathesis.toml <<'TOML'
[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431]
TOML
bearer=$(cat fuzz/api-server/token*)
code=0
"$SCHEMATHESIS" run "http://$addr/openapi.json" --header "Authorization: Bearer $bearer" --checks all --continue-on-failure \
	--suppress-health-check all --request-timeout 90 "$@" || code=$?
if ! kill -0 "$daemon"; then
	echo 'the daemon stopped' >&2
	tail -20 serve.log >&2
	code=1
fi
exit $code
