#!/bin/sh
# Makes the generated files from apiserver/openapi.yaml; with --check it says which of those that are there are not what it would make.
set -eu
cd "$(dirname "$0")/../.."
go=${GO:-go}
check=${1:-}
files='apiserver/server.gen.go apiserver/client/client.gen.go'
sources='apiserver/openapi.yaml tools/openapi/go.mod tools/openapi/overlay.yaml tools/openapi/server.yaml tools/openapi/client.yaml'
sums=tools/openapi/generated.sum

generate() { # CONFIG OUTPUT; the package has a comment of its own
	"$go" tool -modfile=tools/openapi/go.mod oapi-codegen -config "tools/openapi/$1.yaml" -o "$2.tmp" apiserver/openapi.yaml
	sed -e '1,2d' -e '3G' "$2.tmp" >"$2"
	rm "$2.tmp"
}

if test "$check" = --check; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	for file in $files; do
		name=$(basename "$file" .gen.go)
		generate "$name" "$work/$name.gen.go"
		if ! cmp -s "$file" "$work/$name.gen.go"; then
			echo "$file is not what apiserver/openapi.yaml says; run: make generate" >&2
			exit 1
		fi
	done
	exit
fi
for file in $files; do
	generate "$(basename "$file" .gen.go)" "$file"
done
sha256sum $sources $files >"$sums" # for the test that has no generator: TestGeneratedFromTheDocument
