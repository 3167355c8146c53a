#!/bin/sh
# bad_input.sh CASE TRAINER MPIEXEC — what a user can get wrong, or find broken: the exit code, one error line that names the
# place and the values, no hang, and nothing lost. Every line of a case is checked, also after one that fails.
set -eu
case_name=$1 TRAINER=$2 MPIEXEC=$3
. "$(dirname "$0")/tiny_line.sh"
n_failed=0
LIMIT=60 # seconds; the machine may be busy. Nothing here works for more than one.

# what an output directory holds; status.json and the lock may come and change
contents() { [ ! -d "$1" ] || (cd "$1" && find . -type f ! -name status.json ! -name .lock -exec sha256sum {} + | sort); }

wrong() {
    n_failed=$((n_failed + 1))
    say "FAILED: $what: $*"
    sed 's/^/    /' "$dir/err"
}

# refuse WHAT CODE "PART|PART|..." OUTPUT_DIR -- command: ends soon with CODE and one error line that has every part
refuse() {
    what=$1 expected=$2 parts=$3 out=$4
    shift 5
    before=$(contents "$out") code=0
    timeout -k 5 "$LIMIT" "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
    [ "$code" = "$expected" ] || wrong "ended with $code, $expected is expected"
    line=$(grep '^error: ' "$dir/err" || true)
    [ "$(printf '%s' "$line" | grep -c '')" = 1 ] || wrong "one error line is expected"
    IFS='|'
    for part in $parts; do
        case $line in *"$part"*) ;; *) wrong "\"$part\" is missing" ;; esac
    done
    unset IFS
    [ "$before" = "$(contents "$out")" ] || wrong "$out has changed"
    say "$expected  $what: ${line#error: }"
}
# the same for one rank without mpirun and for two with it, both in $dir/new
refuse_run() {
    run_what=$1 run_code=$2 run_parts=$3
    shift 3
    refuse "$run_what" "$run_code" "$run_parts" "$dir/new" -- "$TRAINER" "$@" "output_dir=$dir/new"
    refuse "$run_what, 2 ranks" "$run_code" "$run_parts" "$dir/new" -- "$MPIEXEC" -n 2 "$TRAINER" "$@" "output_dir=$dir/new"
}
# yaml NAME: a config that differs from tiny.yaml by what comes on standard input
yaml() { { say "extends: tiny.yaml"; cat; } >"$dir/$1.yaml"; }

flip_bit() { # FILE OFFSET
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059  # the format is the byte
    printf "\\$(printf %03o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

case "$case_name" in
config)
    say 'learning_rat: 1e-3' | yaml typo
    refuse_run "an unknown key" 78 'typo.yaml:2|learning_rat|learning_rate' "$dir/typo.yaml"
    say 'learning_rate: "1e-5"' | yaml quoted
    refuse_run "a quoted number" 78 'quoted.yaml:2|learning_rate|"1e-5"' "$dir/quoted.yaml"
    refuse_run "no config" 78 'none.yaml' "$dir/none.yaml"
    say 'learning_rate: [' | yaml broken
    refuse_run "no YAML" 78 'broken.yaml' "$dir/broken.yaml"
    printf 'max_seq_length: 64\nmodel: {max_position_embeddings: 48}\n' | yaml long
    refuse_run "a sequence longer than the model's" 78 'long.yaml:2|max_seq_length|64|48' "$dir/long.yaml"
    printf 'micro_batch_size: 3\n' | yaml uneven
    refuse_run "a batch the micro-batch does not divide" 78 'global_batch_size|8|3' "$dir/uneven.yaml"
    refuse "an unknown verb" 64 'trian' "$dir/new" -- "$TRAINER" trian "$dir/tiny.yaml"
    refuse "a word that is no key=value" 64 'fast' "$dir/new" -- "$TRAINER" "$dir/tiny.yaml" fast ;;
data)
    "$TRAINER" world --version 1 --bytes 7680 --out "$dir" >/dev/null
    printf 'datasets: [{path: none.txt}]\n' | yaml missing
    refuse_run "a missing file" 65 "$dir/none.txt" "$dir/missing.yaml"
    gzip -c "$dir/v1.txt" | head -c 1000 >"$dir/cut.txt.gz"
    printf 'datasets: [{path: cut.txt.gz}]\n' | yaml cut
    refuse_run "a truncated gz" 65 "$dir/cut.txt.gz" "$dir/cut.yaml"
    { head -n 2 "$dir/v1.txt"; printf 'caf\351\n'; } >"$dir/latin.txt"
    printf 'datasets: [{path: latin.txt}]\n' | yaml latin
    refuse_run "invalid UTF-8" 65 "$dir/latin.txt:3|invalid UTF-8|0xe9" "$dir/latin.yaml"
    printf '[{"instruction": "a", "output": "b"},\n {"instruction": "a"}]' >"$dir/half.json"
    printf 'datasets: [{path: half.json, type: alpaca}]\n' | yaml half
    refuse_run "a key that is missing" 65 "$dir/half.json:2: element 2|\"output\"" "$dir/half.yaml"
    printf '{"prompt": "a", "completion": "b"}\n{"prompt": "a", "completion": ""}\n' >"$dir/mute.jsonl"
    printf 'datasets: [{path: mute.jsonl, type: completion}]\n' | yaml mute
    refuse_run "nothing to learn" 65 "$dir/mute.jsonl: sample 2|on_empty_sample" "$dir/mute.yaml"
    printf 'datasets: [{path: mute.jsonl}]\n' | yaml untold
    refuse_run "samples without their type" 65 "$dir/mute.jsonl:1|\"text\"|type: completion" "$dir/untold.yaml"
    : >"$dir/empty.txt"
    printf 'datasets: [{path: empty.txt}]\n' | yaml empty
    refuse_run "an empty dataset" 65 "$dir/empty.txt" "$dir/empty.yaml"
    printf 'datasets: [{path: .}]\n' | yaml folder
    refuse_run "a folder for a file" 78 'folder.yaml:2|datasets.0|set type' "$dir/folder.yaml"
    printf '{"text": "a"}\n{"txt": "b"}\n' >"$dir/rows.jsonl"
    printf 'datasets: [{path: rows.jsonl}]\n' | yaml rows
    refuse_run "a row without text" 65 "$dir/rows.jsonl:2|\"text\" is missing" "$dir/rows.yaml" ;;
rank) # one rank cannot read what the others can: /proc/self/cwd leads each to its own directory
    mkdir "$dir/has" "$dir/lacks"
    "$TRAINER" world --version 1 --bytes 7680 --out "$dir/has" >/dev/null
    printf 'datasets: [{path: /proc/self/cwd/v1.txt}]\n' | yaml apart
    refuse "data that rank 1 does not see" 65 'rank 1: |/proc/self/cwd/v1.txt|No such file' "$dir/new" -- \
        "$MPIEXEC" -n 1 -wdir "$dir/has" "$TRAINER" "$dir/apart.yaml" "output_dir=$dir/new" : \
        -n 1 -wdir "$dir/lacks" "$TRAINER" "$dir/apart.yaml" "output_dir=$dir/new"
    cp "$dir/tiny.yaml" "$dir/has/x.yaml"
    sed 's/3e-3/2e-3/' "$dir/tiny.yaml" >"$dir/lacks/x.yaml"
    refuse "configs that differ" 78 'different configs|x.yaml' "$dir/new" -- \
        "$MPIEXEC" -n 1 -wdir "$dir/has" "$TRAINER" x.yaml "output_dir=$dir/new" : \
        -n 1 -wdir "$dir/lacks" "$TRAINER" x.yaml "output_dir=$dir/new"
    refuse "more ranks than groups" 78 '3 ranks|2 reduction groups' "$dir/new" -- \
        "$MPIEXEC" -n 3 "$TRAINER" "$dir/tiny.yaml" reduction_groups=2 "output_dir=$dir/new"
    refuse "tasks that do not know each other" 78 '4 tasks' "$dir/new" -- \
        env SLURM_STEP_NUM_TASKS=4 "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/new" ;;
line) # the second version needs the first one as it was
    "$TRAINER" world --version 1 --bytes 7680 --out "$dir" >/dev/null
    printf 'version: v1\noutput_dir: l\ndatasets: [{path: v1.txt}]\n' | yaml v1
    printf 'version: v2\noutput_dir: l\nfollows: v1\ndatasets: [{type: world, world_version: 2, world_bytes: 7680}]\n' | yaml v2
    v1="$TRAINER $dir/v1.yaml" v2="$TRAINER $dir/v2.yaml" v2_by_two="$MPIEXEC -n 2 $TRAINER $dir/v2.yaml"
    # shellcheck disable=SC2086  # commands
    {
        refuse "v2 without v1" 65 "$dir/l|follows v1|no v1" "$dir/l" -- $v2
        refuse "v2 without v1, 2 ranks" 65 "$dir/l|follows v1|no v1" "$dir/l" -- $v2_by_two
        $v1 >"$dir/log" 2>&1 || { cat "$dir/log"; fail "v1"; }
        refuse "other options than the run began with" 78 'v1/config.yaml|learning_rate: 0.003 before, 0.001 now|max_grad_norm: 1 before, 2 now' "$dir/l" -- \
            $v1 learning_rate=1e-3 max_grad_norm=2
        refuse "a line of another paradigm" 78 "$dir/l|path_switching|continual" "$dir/l" -- $v2 paradigm=continual
        cp "$dir/v1.txt" "$dir/v1.kept"
        say "And one more thing." >>"$dir/v1.txt"
        refuse "v2 after a change of v1's data" 65 "$dir/v1.txt|v1|changed" "$dir/l" -- $v2
        refuse "the same, 2 ranks" 65 "$dir/v1.txt|v1|changed" "$dir/l" -- $v2_by_two
        cp "$dir/v1.kept" "$dir/v1.txt"
        rm "$dir/v1.txt"
        refuse "v2 without v1's data" 65 "$dir/v1.txt" "$dir/l" -- $v2
        cp "$dir/v1.kept" "$dir/v1.txt"
        $v2 >"$dir/log" 2>&1 || { cat "$dir/log"; fail "v2 after all that"; }
    }
    verified "$dir/l" ;;
checkpoint)
    expect_run 1 "output_dir=$dir/l"
    expect_run 1 "output_dir=$dir/wide" model.hidden_size=48 model.num_attention_heads=3
    cp -r "$dir/l" "$dir/whole"
    # shellcheck disable=SC2046  # words
    set -- "$TRAINER" "$dir/tiny.yaml" $(version_args 2) "output_dir=$dir/l"
    flip_bit "$dir/l/branch-points/v1/part-000.h5" 20000
    refuse "a flipped bit in the branch point" 65 "$dir/l/branch-points/v1/part-000.h5" "$dir/l" -- "$@"
    refuse "the same, 2 ranks" 65 "$dir/l/branch-points/v1/part-000.h5" "$dir/l" -- "$MPIEXEC" -n 2 "$@"
    refuse "the same, found by verify" 65 "1 of |part-000.h5" "$dir/l" -- "$TRAINER" verify "$dir/l"
    flip_bit "$dir/l/branch-points/v1/part-000.h5" 20000
    flip_bit "$dir/l/branch-points/v1/manifest.json" 300
    refuse "a flipped bit in its manifest" 65 "$dir/l/branch-points/v1/manifest.json" "$dir/l" -- "$@"
    rm -r "$dir/l/branch-points/v1"
    cp -r "$dir/wide/branch-points/v1" "$dir/l/branch-points/v1"
    refuse "a branch point of another model" 65 "branch-points/v1|model.embed_tokens.weight|48|32" "$dir/l" -- "$@"
    refuse "weights of another model" 65 "$dir/wide/releases/v1|model.embed_tokens.weight|48|32" "$dir/new" -- \
        "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/new" "init_from=$dir/wide/releases/v1"
    refuse "no checkpoint to start from" 65 "$dir/l/v1" "$dir/new" -- \
        "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/new" "init_from=$dir/l/v1"
    rm -r "$dir/l"
    mv "$dir/whole" "$dir/l"
    "$@" >"$dir/log" 2>&1 || { cat "$dir/log"; fail "v2 with all as it was"; }
    # a damaged periodic one is passed over, said so, and made again
    rm -r "$dir/l/releases/v2" "$dir/l/branches/v2/step-000056"
    before=$(payload "$dir/l/branches/v2/step-000052")
    flip_bit "$dir/l/branches/v2/step-000052/part-000.h5" 20000
    "$@" >"$dir/log" 2>&1 || { cat "$dir/log"; fail "v2 after a damaged checkpoint"; }
    grep -q 'passing over a damaged checkpoint.*step-000052' "$dir/log" || fail "it does not say that it passed over one"
    grep -q 'goes on at step 48' "$dir/log" || { cat "$dir/log"; fail "it does not go on at step 48"; }
    same "the damaged one made again" "$before" "$(payload "$dir/l/branches/v2/step-000052")"
    verified "$dir/l" ;;
output)
    : >"$dir/file"
    refuse "an output_dir below a file" 74 "$dir/file" "$dir/new" -- "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/file/new"
    refuse "the same, 2 ranks" 74 "$dir/file" "$dir/new" -- \
        "$MPIEXEC" -n 2 "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/file/new"
    refuse "an output_dir nobody can make" 74 "/proc/new" "$dir/new" -- "$TRAINER" "$dir/tiny.yaml" output_dir=/proc/new
    mkdir "$dir/sealed"
    chmod 555 "$dir/sealed"
    if [ "$(id -u)" != 0 ]; then
        refuse "an output_dir without permission" 74 "$dir/sealed/new|Permission denied" "$dir/new" -- \
            "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/sealed/new"
    fi ;;
second_job) # waits 10 s for a dying job, then names the one that lives
    "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/l" datasets.0.world_bytes=9000000 >"$dir/log" 2>&1 &
    first=$!
    until [ -s "$dir/l/.lock" ]; do sleep 0.1; kill -0 $first 2>/dev/null || fail "the first job ended: $(cat "$dir/log")"; done
    LIMIT=25
    began=$(date +%s)
    what="a second job" out="$dir/none"
    refuse "a second job" 78 "$dir/l is in use by|pid $first" "$dir/none" -- \
        "$MPIEXEC" -n 2 "$TRAINER" "$dir/tiny.yaml" "output_dir=$dir/l"
    say "refused after $(($(date +%s) - began)) s"
    kill -USR1 $first
    code=0
    wait $first || code=$?
    same "exit code of the first job, asked to stop" 75 $code ;;
nonfinite) # weights that overflow in the second step
    printf 'model: {initializer: normal, initializer_range: 10, rms_norm_eps: 0, num_hidden_layers: 8}\noptim: sgd\nlearning_rate: 10\nmax_grad_norm: 0\nwarmup_steps: 0\nsave_steps: 1\n' |
        yaml wild
    for np in 1 2; do
        refuse "a loss that is not finite, $np ranks" 65 'step 1, micro-batch 0|samples 8 to 8|loss is not finite|nothing was updated' "$dir/none" -- \
            "$MPIEXEC" -n $np "$TRAINER" "$dir/wild.yaml" "output_dir=$dir/stop$np"
        verified "$dir/stop$np"
    done
    first=$(payload "$dir/stop1/checkpoints/step-000001")
    same "weights before it, 1 and 2 ranks" "$first" "$(payload "$dir/stop2/checkpoints/step-000001")"
    refuse "too many steps skipped" 65 'step 4|4 updates were skipped|the limit is 3' "$dir/none" -- \
        "$TRAINER" "$dir/wild.yaml" on_nonfinite=skip max_nonfinite_skips=3 "output_dir=$dir/skip"
    same "steps marked as skipped" 3 "$(grep -c '"skipped"' "$dir/skip/metrics.jsonl")"
    same "weights after three skipped steps" "$first" "$(payload "$dir/skip/checkpoints/step-000004")" ;;
*) fail "no case $case_name" ;;
esac
[ $n_failed = 0 ] || fail "$n_failed checks"
