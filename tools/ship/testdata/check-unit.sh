# What is done in a machine whose systemd is process 1; DOCUMENTED stands for the commands of docs/deployment.md.
set -eu -o pipefail
set -x
expect() { # expect 'command' 'pattern': what it prints matches, within a minute
	set +x
	for _ in $(seq 600); do
		if eval "$1" 2>&1 | grep -E -q -e "$2"; then set -x; return; fi
		sleep 0.1
	done
	eval "$1" 2>&1 | tail -20
	echo "no $2 in what $1 prints" >&2
	exit 1
}
# A workspace on this machine, which takes a token where the drop-in has a client's secret.
bin/release/ucwarden-linux-amd64 emulator unitycatalog --addr 127.0.0.1:8290 --generate catalogs=1,schemas=1,tables=2 --token the-secret >workspace.log 2>&1 &
sed -i 's/client_secret/token/g; s/CLIENT_SECRET/TOKEN/g' deploy/systemd/credentials.conf
mkdir -p -m 0755 /etc/ucwarden/policies && mkdir -m 0700 /etc/ucwarden/secrets
echo the-secret >/etc/ucwarden/secrets/databricks.token
chmod 0600 /etc/ucwarden/secrets/databricks.token
echo '{"id": 1, "name": "none", "resources": {"catalog": {"values": ["none"]}},
"policyItems": [{"users": ["admin@example.com"], "accesses": [{"type": "select"}]}]}' >/etc/ucwarden/policies/none.json
cat >/etc/ucwarden/ucwarden.yaml <<'YAML'
databricks: {host: "http://127.0.0.1:8290"}
policies: {path: /etc/ucwarden/policies}
ondemand: {enabled: true}
apiserver: {enabled: true, jwt: {jwks: /var/lib/ucwarden/keys/instance1/api-server/jwks.json}}
YAML
expect 'curl -s http://127.0.0.1:8290/_emulator/stats' .

DOCUMENTED

expect 'curl -s http://127.0.0.1:8282/readyz' '"status":"ready"'
expect 'journalctl -u ucwarden -o cat' 'read again after SIGHUP'
status=/proc/$(systemctl show -P MainPID ucwarden)/status
grep -E -q "^Uid:\s$(id -u ucwarden)\s" "$status" && grep -q 'CapBnd:.0000000000000000' "$status" && grep -q 'NoNewPrivs:.1' "$status"
[ "$(stat -c '%U %a' /var/lib/ucwarden/ucwarden.db)" = 'ucwarden 600' ]
systemctl stop ucwarden
[ "$(systemctl show -P Result ucwarden)" = success ] && [ "$(systemctl show -P ExecMainStatus ucwarden)" = 0 ]

# A secret that is missing is named in the journal.
rm /etc/ucwarden/secrets/databricks.token
systemctl start ucwarden || true
expect 'journalctl -u ucwarden -o cat' '^ucwarden: configuration: env UCWARDEN_DATABRICKS_TOKEN_FILE: databricks.token: read the secret: .* is empty$'
systemctl stop ucwarden
