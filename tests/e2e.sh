#!/bin/sh
# e2e.sh CASE TRAINER MPIEXEC — the program as a user runs it, on tiny lines of the demo world. Each case prints what it compared.
set -eu
case_name=$1 TRAINER=$2 MPIEXEC=$3
. "$(dirname "$0")/tiny_line.sh"

digest() { sha256sum | cut -c1-16; }

case "$case_name" in
ranks) # ranks and threads change who computes what, never the bits
    for layout in 1:1 1:2 2:1 2:2 3:1 4:2; do
        out="$dir/r$layout"
        export OMP_NUM_THREADS="${layout#*:}"
        expect_run 1 --np "${layout%:*}" "output_dir=$out"
        expect_run 2 --np "${layout%:*}" "output_dir=$out"
        same "v2, ranks:threads $layout" "$(payload "$dir/r1:1/releases/v2")" "$(payload "$out/releases/v2")"
        same "state at v2's branch point" "$(state "$dir/r1:1/branch-points/v2")" "$(state "$out/branch-points/v2")"
        same "losses of v2" "$(metric_steps "$dir/r1:1/v2/metrics.jsonl" branch | digest)" \
            "$(metric_steps "$out/v2/metrics.jsonl" branch | digest)"
    done ;;
main_isolated) # the main path is the same with branches taken in between, and without any
    expect_run 1 "output_dir=$dir/with"
    expect_run 2 "output_dir=$dir/with"
    expect_run 1 "output_dir=$dir/without" decay_fraction=0
    expect_run 2 "output_dir=$dir/without" decay_fraction=0
    expect_run 3 "output_dir=$dir/with"
    same "main path at the end of v2" "$(state "$dir/with/main/step-000060")" "$(state "$dir/without/branch-points/v2")" ;;
branch_same_samples) # the branch sees what the main tail sees
    expect_run 1 "output_dir=$dir/l"
    expect_run 2 "output_dir=$dir/l"
    from=$(field "$dir/l/branch-points/v1" step)
    branch=$(metric_steps "$dir/l/v1/metrics.jsonl" branch | cut -d' ' -f1,3)
    tail=$(metric_steps "$dir/l/v1/metrics.jsonl" main | awk -v from="$from" '$1 >= from {print $1, $3}')
    same "samples of v1 from step $from" "$(say "$branch" | digest)" "$(say "$tail" | digest)"
    same "steps of the branch" 18 "$(say "$branch" | wc -l)" ;;
checkpointing) # gradient_checkpointing changes memory, not bits
    expect_run 1 "output_dir=$dir/off"
    expect_run 1 "output_dir=$dir/on" gradient_checkpointing=true
    same "v1 with and without gradient_checkpointing" "$(payload "$dir/off/releases/v1")" "$(payload "$dir/on/releases/v1")" ;;
concurrent) # branch and main tail side by side
    expect_run 1 "output_dir=$dir/a"
    expect_run 2 "output_dir=$dir/a"
    expect_run 1 --np 2 "output_dir=$dir/b" concurrent_branches=true
    expect_run 2 --np 3 "output_dir=$dir/b" concurrent_branches=true
    same "release v2" "$(payload "$dir/a/releases/v2")" "$(payload "$dir/b/releases/v2")"
    same "main path at the end of v1" "$(state "$dir/a/main/step-000030")" "$(state "$dir/b/main/step-000030")" ;;
counted_steps) # N = 4, alpha = 0.6: 58 T against 100 T from scratch and 40 T continual, T = 30
    for paradigm in path_switching from_scratch continual; do
        for k in 1 2 3 4; do expect_run $k "output_dir=$dir/$paradigm" "paradigm=$paradigm"; done
        case $paradigm in path_switching) expected=174 ;; from_scratch) expected=300 ;; continual) expected=120 ;; esac
        same "steps of $paradigm" $expected "$(sed -n 's/.*"steps": *\([0-9]*\).*/\1/p' "$dir/$paradigm/line.json" | tail -n 1)"
    done ;;
again) # a finished run says so and changes nothing
    expect_run 1 "output_dir=$dir/a"
    before=$(payload "$dir/a/releases/v1")
    expect_run 1 "output_dir=$dir/a"
    grep -q 'is finished' "$dir/log" || fail "it does not say that it is finished"
    same "v1 run twice" "$before" "$(payload "$dir/a/releases/v1")" ;;
*) fail "no case $case_name" ;;
esac
