#!/usr/bin/env bash
# run.sh [SEED...]: compares ucwarden's decisions with those of Apache Ranger's own engine, about 35,000 for each seed.
# README.md says what it needs and how to read what it prints. DOCUMENTS and REQUESTS set the size of a seed; WORK is where
# everything is kept, the jars too. Exits with 1 where decisions differ without a reason that README.md lists.
set -euo pipefail
cd "$(dirname "$0")"

work=${WORK:-${TMPDIR:-/tmp}/rangerdiff}
documents=${DOCUMENTS:-1000}
requests=${REQUESTS:-20}
[ $# -gt 0 ] || set -- $((RANDOM * 32768 + RANDOM))

mkdir -p "$work/classes" "$work/defs"
[ -d "$work/jars" ] || mvn -q -B -f java/pom.xml dependency:copy-dependencies -DoutputDirectory="$work/jars"
javac -nowarn -cp "$work/jars/*" -d "$work/classes" java/*.java
GOFLAGS=-buildvcs=false go build -o "$work/rangerdiff" .
"$work/rangerdiff" defs -def ../../deploy/ranger/servicedef-databricks-unity-catalog.json "$work/defs"

ranger() { # documents on standard input, answers on standard output
	java -Xmx2g -Duser.timezone=UTC -XX:TieredStopAtLevel=4 -Dorg.slf4j.simpleLogger.defaultLogLevel=off -cp "$work/classes:$work/jars/*" Driver "$work/defs"
}

code=0
for seed in "$@"; do
	dir=$work/seed-$seed
	mkdir -p "$dir"
	echo "seed $seed"
	"$work/rangerdiff" generate -seed "$seed" -documents "$documents" -requests "$requests" > "$dir/docs.jsonl"
	ranger < "$dir/docs.jsonl" > "$dir/answers.tsv" 2> "$dir/ranger.log"
	"$work/rangerdiff" compare -defs "$work/defs" "$dir/docs.jsonl" "$dir/answers.tsv" "$dir/differences.jsonl" "$dir/again.jsonl"
	ranger < "$dir/again.jsonl" > "$dir/again.tsv" 2>> "$dir/ranger.log"
	"$work/rangerdiff" explain -defs "$work/defs" "$dir/again.jsonl" "$dir/again.tsv" || code=1
done
exit $code
