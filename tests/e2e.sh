#!/bin/sh
# e2e.sh CASE TRAINER MPIEXEC — the program as a user runs it, on tiny lines of the demo world. Each case prints what it compared.
set -eu
case_name=$1 TRAINER=$2 MPIEXEC=$3
src=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export XDG_CACHE_HOME="$dir/cache" OMP_NUM_THREADS=1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }
# tiny.yaml: 30 steps of 8 x 32 bytes in version 1, a model of 22k parameters
cat >"$dir/tiny.yaml" <<YAML
output_dir: line
datasets: [{type: world, name: world, world_version: 1, world_bytes: 7680}]
model: {hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1}
max_seq_length: 32
micro_batch_size: 1
global_batch_size: 8
learning_rate: 3e-3
warmup_steps: 5
save_steps: 4
logging_steps: 100
eval_steps: 0
report_to: jsonl
YAML
# version K of the line: [--np N] [key=value ...]
run() {
    np=1 k=$1; shift
    [ "${1:-}" != --np ] || { np=$2; shift 2; }
    follows=""; [ "$k" = 1 ] || follows="follows=v$((k - 1))"
    set -- "version=v$k" $follows "datasets.0.world_version=$k" "$@"
    "$MPIEXEC" -n "$np" "$TRAINER" "$dir/tiny.yaml" "$@" >>"$dir/log" 2>&1 </dev/null
}
expect_run() { run "$@" || { code=$?; cat "$dir/log"; fail "trainer ended with $code"; }; }
field() { "$TRAINER" inspect --json "$1" | sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",]*\).*/\1/p" | head -n 1; }
payload() { field "$1" payload_sha256; }
state() { field "$1" state_sha256; }
same() { # what a b
    [ -n "$2" ] || fail "$1: nothing to compare"
    [ "$2" = "$3" ] || fail "$1: $2 and $3 differ"
    say "$1: $2"
}
metric_lines() { # file path: step and loss and batch of every step line
    sed -n "s/.*\"path\": *\"$2\".*\"step\": *\([0-9]*\).*\"loss\": *\([^,}]*\).*\"batch_hash\": *\"\([0-9a-f]*\)\".*/\1 \2 \3/p" "$1"
}

case "$case_name" in
ranks) # 1 = 2 = 4 ranks, 1 and 2 threads, and 3
    for layout in 1:1 1:2 2:1 2:2 3:1 4:1 4:2; do
        out="$dir/r$layout"
        OMP_NUM_THREADS=${layout#*:} expect_run 1 --np "${layout%:*}" "output_dir=$out"
        OMP_NUM_THREADS=${layout#*:} expect_run 2 --np "${layout%:*}" "output_dir=$out"
        same "v2, ranks:threads $layout" "$(payload "$dir/r1:1/releases/v2")" "$(payload "$out/releases/v2")"
        same "state at v2's branch point" "$(state "$dir/r1:1/branch-points/v2")" "$(state "$out/branch-points/v2")"
        same "losses of v2" "$(metric_lines "$dir/r1:1/v2/metrics.jsonl" branch | md5sum)" "$(metric_lines "$out/v2/metrics.jsonl" branch | md5sum)"
    done ;;
main_isolated) # the main path is the same with branches taken in between, and without any
    expect_run 1 "output_dir=$dir/with"; expect_run 2 "output_dir=$dir/with"
    expect_run 1 "output_dir=$dir/without" decay_fraction=0; expect_run 2 "output_dir=$dir/without" decay_fraction=0
    expect_run 3 "output_dir=$dir/with"
    same "main path at the end of v2" "$(state "$dir/with/main/step-000060")" "$(state "$dir/without/branch-points/v2")" ;;
branch_same_samples) # the branch sees what the main tail sees
    expect_run 1 "output_dir=$dir/l"; expect_run 2 "output_dir=$dir/l"
    from=$(sed -n 's/.*"branch_step": *\([0-9]*\).*/\1/p' "$dir/l/line.json" | head -n 1)
    branch=$(metric_lines "$dir/l/v1/metrics.jsonl" branch | cut -d' ' -f1,3)
    tail=$(metric_lines "$dir/l/v1/metrics.jsonl" main | awk -v b="$from" '$1 >= b {print $1, $3}')
    same "samples of v1 from step $from" "$(say "$branch" | md5sum)" "$(say "$tail" | md5sum)"
    [ "$(say "$branch" | wc -l)" = 18 ] || fail "the branch has $(say "$branch" | wc -l) steps, 18 are expected" ;;
checkpointing) # gradient_checkpointing changes memory, not bits
    expect_run 1 "output_dir=$dir/off"; expect_run 1 "output_dir=$dir/on" gradient_checkpointing=true
    same "v1 with and without gradient_checkpointing" "$(payload "$dir/off/releases/v1")" "$(payload "$dir/on/releases/v1")" ;;
concurrent) # branch and main tail side by side
    expect_run 1 "output_dir=$dir/a"; expect_run 2 "output_dir=$dir/a"
    expect_run 1 --np 2 "output_dir=$dir/b" concurrent_branches=true; expect_run 2 --np 3 "output_dir=$dir/b" concurrent_branches=true
    same "release v2" "$(payload "$dir/a/releases/v2")" "$(payload "$dir/b/releases/v2")"
    same "main path at the end of v1" "$(state "$dir/a/main/step-000030")" "$(state "$dir/b/main/step-000030")" ;;
counted_steps) # N = 4, alpha = 0.6: 58 T against 100 T from scratch and 40 T continual, T = 30
    for paradigm in path_switching from_scratch continual; do
        for k in 1 2 3 4; do expect_run $k "output_dir=$dir/$paradigm" "paradigm=$paradigm"; done
        steps=$(sed -n 's/.*"steps": *\([0-9]*\).*/\1/p' "$dir/$paradigm/line.json" | tail -n 1)
        case $paradigm in path_switching) expected=174 ;; from_scratch) expected=300 ;; continual) expected=120 ;; esac
        same "steps of $paradigm" "$expected" "$steps"
    done ;;
stop_and_go) # a run stopped by SIGUSR1 goes on, on another layout, to the same bits
    expect_run 1 "output_dir=$dir/a"
    n=0
    while :; do
        n=$((n + 1)); np=$((n % 2 + 1)) code=0
        OMP_NUM_THREADS=$((3 - np)) run 1 --np $np "output_dir=$dir/b" & job=$!
        sleep 1; pkill -USR1 -P $job mpiexec 2>/dev/null || kill -USR1 $job 2>/dev/null || true
        wait $job || code=$?
        [ $code = 75 ] || break
        [ $n -lt 60 ] || fail "stopped $n times without an end"
    done
    [ $code = 0 ] || { cat "$dir/log"; fail "trainer ended with $code"; }
    same "v1 after $n jobs" "$(payload "$dir/a/releases/v1")" "$(payload "$dir/b/releases/v1")" ;;
again) # a finished run says so
    expect_run 1 "output_dir=$dir/a"; before=$(payload "$dir/a/releases/v1"); expect_run 1 "output_dir=$dir/a"
    grep -q 'is finished' "$dir/log" || fail "it does not say that it is finished"
    same "v1 run twice" "$before" "$(payload "$dir/a/releases/v1")" ;;
*) fail "no case $case_name" ;;
esac
