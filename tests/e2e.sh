#!/bin/sh
# e2e.sh CASE TRAINER MPIEXEC — the program as a user runs it, on tiny lines of the demo world. Each case prints what it compared.
set -eu
case_name=$1 TRAINER=$2 MPIEXEC=$3
src=$(cd "$(dirname "$0")/.." && pwd)
. "$src/tests/tiny_line.sh"

digest() { sha256sum | cut -c1-16; }

# background OUTPUT_DIR RANKS key=value ...: starts version 1, 300 steps of it, as $job; what it prints goes to $dir/part
background() {
    bg_out=$1 bg_np=$2
    shift 2
    : >"$dir/part" # what an earlier job printed is not to be taken for this one's
    # shellcheck disable=SC2046  # words
    "$MPIEXEC" -n "$bg_np" "$TRAINER" "$dir/tiny.yaml" $(version_args 1) "output_dir=$bg_out" "datasets.0.world_bytes=${bytes:-76800}" "$@" \
        >"$dir/part" 2>&1 </dev/null &
    job=$!
}
await() { # TEXT: until the job has printed it
    n=0
    until grep -q "$1" "$dir/part"; do
        n=$((n + 1))
        kill -0 $job 2>/dev/null && [ $n -lt 1200 ] || { cat "$dir/part"; fail "it never said \"$1\""; }
        sleep 0.1
    done
}
finish() { code=0; wait $job || code=$?; }

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
    done
    expect_run 1 --np 3 "output_dir=$dir/apart" overlap_comm=false
    same "v1, summed behind the backward" "$(payload "$dir/r1:1/releases/v1")" "$(payload "$dir/apart/releases/v1")" ;;
sharded) # who holds the optimizer's state changes no bit: clipped, averaged, gone on with other ranks, run again
    set -f
    options="max_grad_norm=0.05 average_main=true average_every=2 model.hidden_size=96"
    norms() { sed -n 's/.*"grad_norm": *\([^,}]*\).*/\1/p' "$1/v1/metrics.jsonl"; }
    for optim in adamw adamw_8bit; do
        one="$dir/$optim-1-true"
        for layout in 1-true 2-true 2-false 3-true 4-true; do # ranks, shared out or not
            out="$dir/$optim-$layout"
            # shellcheck disable=SC2086  # words
            expect_run 1 --np "${layout%-*}" "output_dir=$out" "optim=$optim" "shard_optimizer=${layout#*-}" $options
            same "$optim, $layout: state at the branch point" "$(state "$one/branch-points/v1")" "$(state "$out/branch-points/v1")"
            same "v1" "$(payload "$one/releases/v1")" "$(payload "$out/releases/v1")"
            same "mean of the main path" "$(payload "$one/releases/v1-averaged")" "$(payload "$out/releases/v1-averaged")"
            same "losses" "$(metric_steps "$one/v1/metrics.jsonl" branch | digest)" "$(metric_steps "$out/v1/metrics.jsonl" branch | digest)"
            same "gradient norms" "$(norms "$one" | digest)" "$(norms "$out" | digest)"
        done
        norms "$one" | awk '$1 <= 0.05 {exit 1} END {exit NR < 30}' || fail "a step was not clipped"
        out="$dir/$optim-3-true"
        rm -r "$out/releases/v1" "$out/branches/v1/step-000028" # as if it had been stopped before
        # shellcheck disable=SC2086
        expect_run 1 --np 2 "output_dir=$out" "optim=$optim" $options
        same "$optim: v1, begun on 3 ranks, ended on 2" "$(payload "$one/releases/v1")" "$(payload "$out/releases/v1")"
        same "its last state" "$(state "$one/branches/v1/step-000028")" "$(state "$out/branches/v1/step-000028")"
        "$MPIEXEC" -n 3 "$TRAINER" verify "$one/main/step-000008" --replay 4 >"$dir/replay.log" 2>&1 ||
            { cat "$dir/replay.log"; fail "$optim: three ranks do not replay what one has run"; }
        say "$optim: $(grep equal "$dir/replay.log" | head -n 1)"
    done ;;
unpacked) # micro-batches of samples of like length hold the same samples as one by one, whoever computes them
    awk 'BEGIN {for (i = 0; i < 400; i++) {s = i ":"; for (k = i * 7 % 23; k > 0; k--) s = s "a"; print s}}' >"$dir/lines.txt"
    cat >"$dir/unpacked.yaml" <<YAML
extends: tiny.yaml
datasets: [{type: text, path: lines.txt, document: line}]
packing: false
max_steps: 12
compute_dtype: fp32
YAML
    for layout in 1:1 2:1 2:4 4:4; do # ranks, rows of a micro-batch
        "$MPIEXEC" -n "${layout%:*}" "$TRAINER" "$dir/unpacked.yaml" "output_dir=$dir/u$layout" global_batch_size=16 "micro_batch_size=${layout#*:}" \
            reduction_groups=4 >>"$dir/log" 2>&1 </dev/null || { cat "$dir/log"; fail "unpacked, $layout"; }
    done
    same "rows one by one, 1 and 2 ranks" "$(payload "$dir/u1:1/final")" "$(payload "$dir/u2:1/final")"
    same "4 rows of like length, 2 and 4 ranks" "$(payload "$dir/u2:4/final")" "$(payload "$dir/u4:4/final")"
    first() { sed -n 's/.*"loss": \([0-9.]*\),.*"grad_norm": \([0-9.]*\).*/\1 \2/p' "$1/metrics.jsonl" | head -n 3 | tr '\n' ' '; }
    echo "$(first "$dir/u1:1") $(first "$dir/u2:4")" |
        awk 'NF == 12 {for (i = 1; i <= 6; i++) if (($i - $(i + 6)) ^ 2 > (1e-4 * $i) ^ 2) exit 1; ok = 1} END {exit !ok}' ||
        fail "losses and gradient norms, one by one and by 4: $(first "$dir/u1:1"), $(first "$dir/u2:4")" ;;
profile) # op by op, and the parts make up the whole; the bits are those of a run without
    expect_run 1 "output_dir=$dir/without"
    : >"$dir/log"
    expect_run 1 --np 2 "output_dir=$dir/with" --profile
    same "v1" "$(payload "$dir/without/releases/v1")" "$(payload "$dir/with/releases/v1")"
    grep -q '^profile: 30 steps of' "$dir/log" || { cat "$dir/log"; fail "no table of 30 steps"; }
    for row in linear attention ce_head rmsnorm optimizer 'gradient sum' data saving; do
        grep -q "^$row " "$dir/log" || { cat "$dir/log"; fail "no row of $row"; }
    done
    sums() { awk '/^gradient sum/ {print $3}' "$dir/log"; } # how often it was at it
    under=$(sums)
    : >"$dir/log"
    expect_run 1 --np 2 "output_dir=$dir/behind" overlap_comm=false --profile
    [ "$under" -gt "$(($(sums) + 300))" ] || fail "under the backward it is $under times at the gradient sum, behind it $(sums)"
    same "sum of all shares, in percent" 100 "$(awk '/^op /{on=1} /^outside steps/{on=0} on && /%/ && !/^all /{sub(/ %.*/, ""); sum += $NF} END {printf "%.0f", sum}' "$dir/log")" ;;
methods) # small trainable sets are trained as exactly as the whole: any ranks, stopped or not, recomputed or not, run again
    set -f # patterns are not the shell's
    lora="finetuning_type=lora lora_r=4 lora_dropout=0.2 modules_to_save=[lm_head] loraplus_lr_ratio=4"
    freeze='finetuning_type=freeze unfrozen_parameters=["model.layers.1\\..*proj",lm_head]'
    gate="finetuning_type=memory_gate segment_len=8 n_sink=1 n_window=3 memory_write=gated memory_update=delta learning_rate=1e-2"
    for method in lora freeze gate; do
        eval "options=\$$method"
        # shellcheck disable=SC2086  # words
        for np in 1 2 4; do
            expect_run 1 --np $np "output_dir=$dir/$method$np" $options
            same "$method: v1, $np ranks" "$(payload "$dir/${method}1/releases/v1")" "$(payload "$dir/$method$np/releases/v1")"
            same "$method: state at its branch point" "$(state "$dir/${method}1/branch-points/v1")" "$(state "$dir/$method$np/branch-points/v1")"
        done
        # shellcheck disable=SC2086
        expect_run 1 "output_dir=$dir/$method-again" $options gradient_checkpointing=true
        same "$method: v1, recomputed" "$(payload "$dir/${method}1/releases/v1")" "$(payload "$dir/$method-again/releases/v1")"
        rm -r "$dir/${method}2/releases/v1" "$dir/${method}2/branches/v1" # as if it had been stopped before
        # shellcheck disable=SC2086
        expect_run 1 --np 2 "output_dir=$dir/${method}2" $options
        same "$method: v1, its branch gone on from the stored state" "$(payload "$dir/${method}1/releases/v1")" "$(payload "$dir/${method}2/releases/v1")"
        "$TRAINER" verify "$dir/${method}1/main/step-000008" --replay 100 >"$dir/replay.log" || { cat "$dir/replay.log"; fail "$method: replay"; }
        say "$method: $(grep equal "$dir/replay.log" | head -n 1)"
        # shellcheck disable=SC2086
        same "$method: parameters, planned and trained" "$(field "$dir/${method}1/releases/v1" trainable_params)" \
            "$("$TRAINER" plan "$dir/tiny.yaml" "output_dir=$dir/none" $options --json --no-calibrate 2>>"$dir/log" | sed -n 's/^ *"trainable_params": *\([0-9]*\),*/\1/p')"
    done
    seq 500 >"$dir/numbers.txt"
    seen() { # LENGTH OF ROWS: "route state_bytes"
        "$TRAINER" eval "$dir/gate1" --data "$dir/numbers.txt" --max-seq-length "$1" --stats --json 2>>"$dir/log" |
            sed -n 's/.*"route": "\([a-z]*\)".*"row_tokens": '"$1"',.*"state_bytes": \([0-9]*\)}.*/\1 \2/p'
    }
    case "$(seen 16)" in "memory "*) ;; *) fail "rows of two segments: $(seen 16)" ;; esac
    same "route and state, rows of twice the length" "$(seen 16)" "$(seen 32)"
    same "a row of one segment, its keys and values in 2 layers of 1 head" "attention $((2 * 2 * 8 * 16 * 4))" "$(seen 8)"
    stored=$("$TRAINER" inspect "$dir/lora1/releases/v1" | grep -c '^  param/')
    same "tensors of an adapter: 14 pairs and the head" 29 "$stored"
    code=0
    run 1 "output_dir=$dir/lora1" finetuning_type=lora lora_r=8 || code=$?
    same "exit code with another rank" 78 $code
    grep -q 'trainable.0.lora_r: 4 before, 8 now' "$dir/log" || { tail -n 3 "$dir/log"; fail "it does not say what differs"; } ;;
prefix_cache) # what frozen blocks make of a row is kept: the same bits on any ranks, kept or not, stopped or not, and nearly those without
    set -f
    top="finetuning_type=lora lora_r=4 lora_layers=1 num_train_epochs=3 save_steps=20"
    on="$top prefix_cache=on"
    # shellcheck disable=SC2086  # words
    {
        run_plain() { "$MPIEXEC" -n "$1" "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/$2" "cache_dir=$dir/cache$2" $3 >>"$dir/log" 2>&1 </dev/null || { tail -n 3 "$dir/log"; fail "$2"; }; }
        run_plain 1 on1 "$on"
        run_plain 2 on2 "$on"
        run_plain 1 auto "$top"
        run_plain 1 off "$top prefix_cache=off"
        run_plain 4 full "$on prefix_cache_limit_bytes=50k"
    }
    kept=$(find "$dir/cacheon1/prefix" -name '*.h5' | wc -l)
    same "rows kept" 240 "$kept"
    bytes=$(find "$dir/cachefull/prefix" -name '*.h5' -printf '%s\n' | awk '{n += $1} END {print n + 0}')
    [ "$bytes" -gt 0 ] && [ "$bytes" -lt 70000 ] || fail "$bytes bytes are kept, prefix_cache_limit_bytes is 50k and 4 ranks look before each row"
    for other in on2 auto full; do same "weights, $other" "$(payload "$dir/on1/final")" "$(payload "$dir/$other/final")"; done
    find "$dir/cacheon1/prefix" -name '*.h5' | head -n 40 | while read -r f; do printf x | dd of="$f" bs=1 seek=2500 conv=notrunc 2>/dev/null; done
    rm -r "$dir/on1/final" "$dir/on1/checkpoints/step-000080"
    run_plain 1 on1 "$on"
    same "weights, gone on with damaged files" "$(payload "$dir/on2/final")" "$(payload "$dir/on1/final")"
    "$TRAINER" verify "$dir/on2/checkpoints/step-000060" --replay 5 >"$dir/replay.log" || { cat "$dir/replay.log"; fail "replay"; }
    mv "$dir/cacheon1" "$dir/cacheother"
    run_plain 1 other "${on%num_train*} num_train_epochs=1 save_steps=20 prefix_cache=on seed=7 prefix_cache_limit_bytes=2500k"
    same "folders kept when another model needs the room" 1 "$(find "$dir/cacheother/prefix" -mindepth 1 -type d | wc -l)"
    short="finetuning_type=lora lora_r=4 lora_layers=1 max_steps=4 save_steps=0 prefix_cache=on model.initializer=normal"
    mv "$dir/cacheon2" "$dir/cacheshared"
    run_plain 1 shared "$short"
    run_plain 1 alone "$short"
    same "weights of another start beside the rows of this one" "$(payload "$dir/alone/final")" "$(payload "$dir/shared/final")"
    loss() { sed -n 's/.*"step": *89.*"loss": *\([^,}]*\).*/\1/p' "$dir/$1/metrics.jsonl"; }
    awk -v a="$(loss on1)" -v b="$(loss off)" 'BEGIN {exit !(a != "" && b != "" && (a - b) ^ 2 < 1e-4 * a * a)}' || fail "last losses: $(loss on1) with, $(loss off) without"
    say "last losses: $(loss on1) with, $(loss off) without"
    code=0
    run 1 "output_dir=$dir/none" prefix_cache=on || code=$?
    same "exit code where nothing is frozen" 78 $code
    grep -q 'no block lies below everything that is trained' "$dir/log" || { tail -n 3 "$dir/log"; fail "it does not say why"; } ;;
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
branch_from) # another decay from a saved point, with nothing but its own options
    sed '/^output_dir/d; /^datasets/d' "$dir/tiny.yaml" >"$dir/bare.yaml"
    branch() {
        code=0
        "$TRAINER" "$dir/bare.yaml" "$@" >"$dir/branch.log" 2>&1 || code=$?
    }
    expect_branch() {
        branch "$@"
        [ $code = 0 ] || { cat "$dir/branch.log"; fail "branch $*: ended with $code"; }
    }
    refused() { # code, part of the message, arguments
        wanted=$1 part=$2
        shift 2
        branch "$@"
        same "exit code of $*" "$wanted" $code
        grep -q -- "$part" "$dir/branch.log" || { cat "$dir/branch.log"; fail "the message lacks \"$part\""; }
    }
    expect_run 1 "output_dir=$dir/l"
    expect_run 2 "output_dir=$dir/l"
    expect_branch version=again "branch_from=$dir/l@v1"
    same "v1 decayed again" "$(payload "$dir/l/releases/v1")" "$(payload "$dir/l/releases/again")"
    expect_branch version=linear "branch_from=$dir/l@v2" decay_shape=linear "output_dir=$dir/other"
    same "first step of the branch" 42 "$(metric_steps "$dir/other/linear/metrics.jsonl" branch | head -n 1 | cut -d' ' -f1)"
    same "its samples" "$(metric_steps "$dir/l/v2/metrics.jsonl" branch | cut -d' ' -f1,3 | digest)" \
        "$(metric_steps "$dir/other/linear/metrics.jsonl" branch | cut -d' ' -f1,3 | digest)"
    [ "$(payload "$dir/other/releases/linear")" != "$(payload "$dir/l/releases/v2")" ] || fail "two shapes of decay, one result"
    expect_branch version=short "branch_from=$dir/l@24" save_steps=0
    same "steps from 24 to the end of v1" 6 "$(metric_steps "$dir/l/short/metrics.jsonl" branch | wc -l)"
    expect_branch version=border "branch_from=$dir/l@30"
    same "steps from the border to the end of v2" 30 "$(metric_steps "$dir/l/border/metrics.jsonl" branch | wc -l)"
    "$TRAINER" lineage "$dir/l" >"$dir/tree"
    same "branches in the tree" 3 "$(grep -c '─ ● ' "$dir/tree")"
    verified "$dir/l"
    verified "$dir/other"
    "$TRAINER" verify "$dir/l/branches/short" >/dev/null 2>&1 && fail "save_steps: 0 left a checkpoint"
    "$TRAINER" verify "$dir/l/branches/border/step-000056" --replay 10 >"$dir/replay.log" || fail "a branch cannot be replayed"
    grep -q 'equal *releases/border' "$dir/replay.log" || fail "the release of a branch was not replayed"
    refused 78 'learning_rate: 0.003 before, 0.001 now' version=x "branch_from=$dir/l@v1" learning_rate=1e-3
    refused 78 'world_version: 1 before, 2 now' version=x "branch_from=$dir/l@v1" \
        'datasets=[{type: world, name: world, world_version: 2, world_bytes: 7680}]'
    refused 78 'v1 follows nothing\|does not branch from v2' version=v1 "branch_from=$dir/l@v2"
    refused 78 'is a branch without a main path: follow v1' version=x follows=again "output_dir=$dir/l" \
        'datasets=[{type: world, name: world, world_version: 3, world_bytes: 7680}]'
    refused 65 'has no checkpoint at step 13' version=x "branch_from=$dir/l@13"
    refused 65 'neither a version of the line nor a step' version=x "branch_from=$dir/l@v9"
    refused 65 'is no line' version=x "branch_from=$dir/none@v1"
    refused 78 'expected LINE@POINT' version=x "branch_from=$dir/l"
    refused 78 'holds another line' version=x "branch_from=$dir/l@v1" "output_dir=$dir/other"
    expect_run 3 "output_dir=$dir/l" ;;
init_from) # weights, and nothing else
    expect_run 1 "output_dir=$dir/a"
    expect_run 1 "output_dir=$dir/b" "init_from=$dir/a/releases/v1" learning_rate=0
    same "weights that nothing moves" "$(payload "$dir/a/releases/v1")" "$(payload "$dir/b/releases/v1")"
    same "first step" 0 "$(metric_steps "$dir/b/v1/metrics.jsonl" main | head -n 1 | cut -d' ' -f1)"
    same "tokens at the branch point" $((12 * 8 * 32)) "$(field "$dir/b/branch-points/v1" tokens)"
    expect_run 1 "output_dir=$dir/z" decay_fraction=0 # its release and its branch point have the same weights
    expect_run 1 "output_dir=$dir/c" "init_from=$dir/z/releases/v1"
    expect_run 1 "output_dir=$dir/d" "init_from=$dir/z/branch-points/v1"
    same "an optimizer that was there does not matter" "$(state "$dir/c/branch-points/v1")" "$(state "$dir/d/branch-points/v1")" ;;
plan) # it says what will be done, and does nothing
    expect_run 1 "output_dir=$dir/l"
    expect_run 2 "output_dir=$dir/l"
    find "$dir/l" -type f -exec sha256sum {} + | sort >"$dir/before"
    # shellcheck disable=SC2046  # words
    plan() { "$MPIEXEC" -n 2 "$TRAINER" plan "$dir/tiny.yaml" $(version_args 3) "output_dir=$dir/l" "$@"; }
    plan --lr >"$dir/lr.csv" 2>"$dir/log"
    plan --json >"$dir/plan.json" 2>>"$dir/log"
    plan >"$dir/plan.txt" 2>>"$dir/log"
    "$TRAINER" plan "$dir/tiny.yaml" version=v1 "output_dir=$dir/none" --no-calibrate >/dev/null 2>>"$dir/log"
    [ ! -e "$dir/none" ] || fail "plan has made the output directory"
    find "$dir/l" -type f -exec sha256sum {} + | sort >"$dir/after"
    same "files of the line" "$(digest <"$dir/before")" "$(digest <"$dir/after")"
    same "header of the CSV" version,path,step,lr "$(head -n 1 "$dir/lr.csv")"
    same "steps by version and path" "12 v1,main 18 v1,branch 18 v1,main 12 v2,main 18 v2,branch 18 v2,main 12 v3,main 18 v3,branch" \
        "$(sed 1d "$dir/lr.csv" | cut -d, -f1,2 | uniq -c | awk '{printf "%s%s %s", sep, $1, $2; sep = " "}')"
    expect_run 3 "output_dir=$dir/l"
    for k in 1 2 3; do # the last main tail of the line is not run yet
        sed -n 's/.*"path": *"\([a-z]*\)", *"version": *"\([^"]*\)", *"step": *\([0-9]*\),.*"lr": *\([^,}]*\),.*/\2,\1,\3,\4/p' \
            "$dir/l/v$k/metrics.jsonl"
    done | sort >"$dir/trained"
    same "rates trained with" "$(sed 1d "$dir/lr.csv" | sort | digest)" "$(digest <"$dir/trained")"
    value() { sed -n "s/^ *\"$1\": *\([-0-9.e+]*\),*$/\1/p" "$dir/plan.json" | awk '{printf "%s%.3f", sep, $1; sep = " "}'; }
    same "ratios to from scratch (3 so far; N = 2, 4, 8)" "0.700 0.867 0.580 0.339" "$(value path_switching_ratio)"
    same "trainable parameters" "$(field "$dir/l/releases/v1" trainable_params).000" "$(value trainable_params)"
    awk -v s="$(value step_s)" -v job="$(value job_s)" 'BEGIN { exit !(s > 0 && job > 47 * s - 1 && job < 49 * s + 1) }' ||
        fail "a step of $(value step_s) s makes a job of 48 steps last $(value job_s) s"
    grep -q 'v3 branch: steps 72 to 90 -> releases/v3$' "$dir/plan.txt" || { cat "$dir/plan.txt"; fail "a leg is missing"; }
    plan >"$dir/plan.txt" 2>>"$dir/log"
    grep -q 'v3 branch: steps 72 to 90 -> releases/v3 (done)$' "$dir/plan.txt" || { cat "$dir/plan.txt"; fail "a finished leg is not told"; } ;;
replay) # steps run again give the same bits, or the first that differs is named
    expect_run 1 "output_dir=$dir/l"
    expect_run 2 "output_dir=$dir/l"
    replay() { # code, part of what is said, directory, steps
        code=0
        "$TRAINER" verify "$3" --replay "$4" >"$dir/replay.log" 2>&1 || code=$?
        [ $code = "$1" ] && grep -q -- "$2" "$dir/replay.log" && return
        cat "$dir/replay.log"
        fail "replay of $3 ended with $code, not with $1 and \"$2\""
    }
    replay 0 'equal *v1 branch, steps 12 to 30' "$dir/l/branch-points/v1" 1000
    grep -q 'equal *releases/v1' "$dir/replay.log" || fail "the release was not compared"
    grep -q 'equal *branches/v1/step-000028' "$dir/replay.log" || fail "a checkpoint on the way was not compared"
    replay 0 'equal *v1 main.*, steps 8 to 18' "$dir/l/main/step-000008" 10
    grep -q 'equal *branch-points/v1' "$dir/replay.log" || fail "the branch point was not compared"
    replay 0 'equal *v2 main.*, steps 30 to 42' "$dir/l/main/step-000030" 100
    "$MPIEXEC" -n 2 "$TRAINER" verify --json "$dir/l/branch-points/v2" --replay 4 >"$dir/replay.json" 2>>"$dir/log" ||
        fail "two ranks do not replay what one has run"
    same "steps that two ranks have run again" 4 "$(sed -n 's/^ *"steps": *\([0-9]*\),*/\1/p' "$dir/replay.json")"
    replay 65 'no step follows it' "$dir/l/releases/v1" 1
    cp -r "$dir/l" "$dir/moved"
    replay 0 'equal *v2 branch, steps 42 to 60' "$dir/moved/branch-points/v2" 1000
    # one bit of a release
    byte=$(od -An -tu1 -j 20000 -N 1 "$dir/moved/releases/v1/part-000.h5" | tr -d ' ')
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$dir/moved/releases/v1/part-000.h5" bs=1 seek=20000 conv=notrunc status=none
    code=0
    "$TRAINER" verify "$dir/moved" >"$dir/verify.log" 2>&1 || code=$?
    same "exit code of verify with a flipped bit" 65 $code
    grep -q '^damaged.*releases/v1' "$dir/verify.log" || { cat "$dir/verify.log"; fail "the damaged release is not named"; }
    # a loss, a rate, the order of the sum
    cp -r "$dir/l" "$dir/loss"
    sed -i '/"path": *"branch".*"step": *20,/ s/"loss": *[0-9.]*/"loss": 3.14/' "$dir/loss/v1/metrics.jsonl"
    replay 65 'v1 branch, step 20 is the first that differs: loss was 3.14' "$dir/loss/branch-points/v1" 100
    replay 0 'steps 12 to 20' "$dir/loss/branch-points/v1" 8
    cp -r "$dir/l" "$dir/rate"
    sed -i 's/^learning_rate: .*/learning_rate: 0.004/' "$dir/rate/v1/config.yaml"
    replay 65 'learning_rate: 0.003 before, 0.004 now' "$dir/rate/branch-points/v1" 1
    cp -r "$dir/l" "$dir/groups"
    sed -i 's/^reduction_groups: .*/reduction_groups: 1/' "$dir/groups/v1/config.yaml"
    replay 65 'numerics: reduction_groups was 8, is 1' "$dir/groups/branch-points/v1" 100 ;;
best) # a plain run ends early, with its best weights, whatever interrupts it; the rate is so high that the loss rises again
    plain() { # DIR
        "$MPIEXEC" -n 2 "$TRAINER" "$dir/tiny.yaml" "output_dir=$1" eval_steps=3 learning_rate=0.05 num_train_epochs=40 \
            'eval_datasets=[{type: world, name: other, world_version: 2, world_bytes: 7680}]' \
            load_best_model_at_end=true early_stopping_patience=3 >>"$dir/log" 2>&1 </dev/null
    }
    plain "$dir/a" || { cat "$dir/log"; fail "the run"; }
    lowest=$(sed -n 's/.*"step": *\([0-9]*\).*"eval".*"loss": *\([0-9.]*\).*/\2 \1/p' "$dir/a/metrics.jsonl" | sort -n | head -n 1)
    best=$((${lowest#* } + 1))
    same "steps at the end, best step and patience" "$(field "$dir/a/final" step)" $((best + 9))
    same "final weights" "$(payload "$dir/a/best/step-$(printf %06d "$best")")" "$(payload "$dir/a/final")"
    verified "$dir/a"
    plain "$dir/b" &
    job=$!
    until [ -d "$dir/b/best" ]; do sleep 0.05; done
    pkill -9 -P $job
    wait $job || :
    [ ! -d "$dir/b/final" ] || fail "it ended before it was killed"
    plain "$dir/b" || { cat "$dir/log"; fail "the same command again"; }
    same "after an interruption" "$(payload "$dir/a/final")" "$(payload "$dir/b/final")" ;;
background) # checkpoints written while the run goes on are those of a run that waits for them, byte for byte
    expect_run 1 "output_dir=$dir/waits" save_in_background=false
    for np in 1 2; do
        expect_run 1 --np $np "output_dir=$dir/b$np"
        same "v1, $np ranks" "$(payload "$dir/waits/releases/v1")" "$(payload "$dir/b$np/releases/v1")"
        (cd "$dir/waits" && find . -name manifest.json | sort) >"$dir/ought"
        (cd "$dir/b$np" && find . -name manifest.json | sort) >"$dir/is"
        same "checkpoints" "$(digest <"$dir/ought")" "$(digest <"$dir/is")"
        while read -r f; do
            c=${f%/manifest.json}
            for part in "$dir/waits/$c"/*.h5; do cmp "$part" "$dir/b$np/$c/${part##*/}" || fail "$c differs"; done
            [ "$(state "$dir/waits/$c")" = "$(state "$dir/b$np/$c")" ] || fail "$c: state"
        done <"$dir/ought"
        verified "$dir/b$np"
    done
    say "$(grep -c step- "$dir/ought") periodic checkpoints are equal" ;;
watchdog) # a rank that stands still ends the job, which says in what it stood
    bytes=768000 # long enough to be met in the middle
    background "$dir/l" 2 save_steps=100 watchdog_step_s=2
    await 'step-000100 saved'
    stopped=$(pgrep -P $job | tail -n 1)
    kill -STOP "$stopped"
    finish
    same "exit code" 69 $code
    line=$(grep 'rank 0: error: ' "$dir/part")
    case $line in
    "rank 0: error: step at step "*" has lasted "*" s, the limit is 2 s: another rank is lost or hangs") say "$line" ;;
    *) cat "$dir/part"; fail "the message" ;;
    esac
    n=0
    while ps -o stat= -p "$stopped" | grep -qv Z; do # as a zombie it may wait for somebody to ask
        n=$((n + 1))
        [ $n -lt 100 ] || fail "the rank that hangs is left over"
        sleep 0.1
    done
    background "$dir/l" 2 save_steps=100
    await 'goes on at step'
    kill -USR1 $job
    finish
    same "exit code of the same command, asked to stop" 75 $code
    verified "$dir/l" ;;
full_disk) # one message, nothing lost, and on it goes when there is room again
    [ "$(id -u)" = 0 ] || skip "only root may mount a small disk"
    mkdir "$dir/disk"
    mount -t tmpfs -o size=24m tmpfs "$dir/disk" 2>/dev/null || skip "a tmpfs cannot be mounted here"
    trap 'umount -l "$dir/disk"; rm -rf "$dir"' EXIT
    background "$dir/whole" 1 save_total_limit=2
    finish
    same "exit code with room enough" 0 $code
    for np in 1 2; do
        background "$dir/disk/l$np" $np save_total_limit=2
        await 'step-000020 saved'
        cat /dev/zero >"$dir/disk/filler" 2>/dev/null || true
        finish
        same "exit code on a full disk, $np ranks" 74 $code
        line=$(grep '^error: ' "$dir/part")
        case $line in *"$dir/disk/l$np/"*"No space left on device"*) say "$line" ;; *) cat "$dir/part"; fail "the message" ;; esac
        same "error lines" 1 "$(grep -c '^error: ' "$dir/part")"
        verified "$dir/disk/l$np"
        rm "$dir/disk/filler"
        background "$dir/disk/l$np" $np save_total_limit=2
        finish
        same "exit code with room again" 0 $code
        same "v1" "$(payload "$dir/whole/releases/v1")" "$(payload "$dir/disk/l$np/releases/v1")"
        rm -r "$dir/disk/l$np"
    done ;;
slurm) # the batch script: asked to stop it saves and queues itself again, once
    mkdir "$dir/bin"
    printf '#!/bin/sh\necho "$*" >>"%s"\n' "$dir/scontrol" >"$dir/bin/scontrol"
    chmod +x "$dir/bin/scontrol"
    {
        say 'extends: tiny.yaml'
        say 'version: v1'
        say "output_dir: $dir/l"
        say 'datasets: [{type: world, name: world, world_version: 1, world_bytes: 76800}]'
    } >"$dir/slurm.yaml"
    batch() {
        : >"$dir/part"
        PATH="$dir/bin:$PATH" SLURM_JOB_ID=17 CONFIG="$dir/slurm.yaml" TRAINER="$TRAINER" LAUNCH="$MPIEXEC -n 2" \
            sh "$src/scripts/slurm.sbatch" >"$dir/part" 2>&1 </dev/null &
        job=$!
    }
    asked=0
    for signal in TERM USR1; do
        batch
        await 'switchyard '
        kill -$signal $job
        finish
        asked=$((asked + 1))
        same "exit code after SIG$signal" 75 $code
        grep 'stopped on request at step' "$dir/part" || fail "it does not say where it stopped"
        same "jobs queued again" "$asked" "$(grep -c '^requeue 17$' "$dir/scontrol")"
    done
    batch
    finish
    same "exit code of the third job" 0 $code
    same "jobs queued again" 2 "$(wc -l <"$dir/scontrol")"
    background "$dir/whole" 1
    finish
    same "v1 in three jobs" "$(payload "$dir/whole/releases/v1")" "$(payload "$dir/l/releases/v1")" ;;
*) fail "no case $case_name" ;;
esac
