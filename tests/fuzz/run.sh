#!/bin/bash
# Run one libFuzzer target for a short while. usage: run.sh PROGRAM [SEEDS]; environment: SANDBOXD_FUZZ_SECONDS (15).
# New inputs go to a scratch folder; an input that crashes the target is kept there and named.
set -euo pipefail
program=$1
seeds=${2:-}
seconds=${SANDBOXD_FUZZ_SECONDS:-15}
work=$(mktemp -d)
mkdir "$work/corpus"
status=0
# -timeout is for one input: a parser that needs seconds for 1 MiB is a finding.
(cd "$work" && "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
  "$work/corpus" ${seeds:+"$seeds"}) >"$work/log" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then
  tail -n 60 "$work/log"
  echo "the input that did it lies in $work"
  exit 1
fi
grep -E '^stat::(number_of_executed_units|average_exec_per_sec|new_units_added)' "$work/log"
rm -rf "$work"
