#!/bin/sh
# interrupt.sh STEPS KILLS SIGNALS SEED TRAINER MPIEXEC — two versions of STEPS steps on two ranks are hit at random moments, the
# same command is run again each time, and what comes out has the bits of a run that nobody disturbed.
#   KILLS times SIGKILL, on a rank or on mpirun, every other one while a checkpoint is being written;
#   SIGNALS times SIGUSR1 to mpirun; once SIGTERM to a rank.
set -eu
steps=$1 kills=$2 signals=$3 seed=$4 TRAINER=$5 MPIEXEC=$6
. "$(dirname "$0")/tiny_line.sh"
branch_step=$((steps - (steps * 6 + 5) / 10))

start() { # LINE VERSION: in the background, as $job; its output goes to $dir/part
    : >"$dir/part" # here, not in the job, so that nobody finds the last one's output
    # shellcheck disable=SC2046  # words
    "$MPIEXEC" -n 2 "$TRAINER" "$dir/tiny.yaml" $(version_args "$2") "output_dir=$1" datasets.0.world_bytes=$((steps * 256)) \
        save_steps=2 save_total_limit=2 >>"$dir/part" 2>&1 </dev/null &
    job=$!
}
finish() { code=0; wait $job || code=$?; cat "$dir/part" >>"$dir/log"; }
complete() { # LINE VERSION: runs it to its end
    start "$1" "$2"
    finish
    [ $code = 0 ] || { cat "$dir/part"; fail "$1, v$2: ended with $code"; }
}
seconds() { date +%s.%N; }
lost_in() { sed -n 's/.*"steps_lost": *\([0-9]*\).*/\1/p' "$1/line.json" | tail -n 1; }

# 1 2 ... as they were written, and as they should be
expect_steps() { # LINE VERSION PATH FROM TO
    metric_steps "$1/v$2/metrics.jsonl" "$3" | cut -d' ' -f1 >"$dir/is"
    seq "$4" $(($5 - 1)) >"$dir/ought"
    cmp -s "$dir/is" "$dir/ought" || { diff "$dir/is" "$dir/ought" | head; fail "$1/v$2/metrics.jsonl: steps of the $3 path"; }
}
judge() { # LINE: finished, and all is as it would be without interruption
    same "release v2 of $(basename "$1")" "$(payload "$dir/whole/releases/v2")" "$(payload "$1/releases/v2")"
    same "state at v2's branch point" "$(state "$dir/whole/branch-points/v2")" "$(state "$1/branch-points/v2")"
    verified "$1"
    expect_steps "$1" 1 main 0 "$steps"
    expect_steps "$1" 1 branch "$branch_step" "$steps"
    expect_steps "$1" 2 main "$steps" $((steps + branch_step))
    expect_steps "$1" 2 branch $((steps + branch_step)) $((2 * steps))
    left=$(find "$1" -name '*.tmp*')
    [ -z "$left" ] || fail "left over: $left"
}

is_writing() { # LINE: without starting a process, a checkpoint takes milliseconds
    for f in "$1"/*/*.tmp-* "$1"/branches/*/*.tmp-*; do [ ! -e "$f" ] || return 0; done
    return 1
}
newest() { ls "$1" 2>/dev/null | sed -n 's/^step-0*\([0-9][0-9]*\)$/\1/p' | sort -n | tail -n 1; }
# what a killed job had done past its checkpoints
count_lost() { # LINE
    main=$(newest "$1/main")
    for k in 1 2; do
        point=$(((k - 1) * steps + branch_step))
        [ ! -d "$1/branch-points/v$k" ] || [ "${main:-0}" -gt $point ] || main=$point
    done
    for k in 1 2; do
        [ -f "$1/v$k/metrics.jsonl" ] || continue
        metric_steps "$1/v$k/metrics.jsonl" main | awk -v from="${main:-0}" '$1 >= from'
        [ ! -d "$1/releases/v$k" ] || continue
        branch=$(newest "$1/branches/v$k")
        metric_steps "$1/v$k/metrics.jsonl" branch | awk -v from="${branch:-0}" '$1 >= from'
    done | wc -l
}

complete "$dir/whole" 1
began=$(seconds)
complete "$dir/whole" 2
took=$(say "$began $(seconds)" | awk '{print $2 - $1}')
judge "$dir/whole"
say "uninterrupted: v2 takes $took s; seed $seed"
# "delay target" for each job to come: up to most of the time that it takes when it is left alone
awk -v n=$((10 * (kills + signals + 1))) -v seed="$seed" -v most="$took" 'BEGIN {
    srand(seed); for (i = 0; i < n; i++) printf "%.3f %d\n", 0.9 * rand() * most, rand() * 3 }' >"$dir/moments"
exec 3<"$dir/moments"
next_moment() { read -r delay target <&3 || fail "the jobs end before anything can hit them"; }

# ---- SIGKILL ----
i=0 round=0 saving=0 expected_lost=0 k=1
line="$dir/killed0"
while [ $i -lt "$kills" ]; do
    next_moment
    start "$line" "$k"
    sleep "$delay"
    # shellcheck disable=SC2046  # words
    set -- $(pgrep -P $job || true)
    case $target in 0) victim=${1:-$job} ;; 1) victim=${2:-$job} ;; *) victim=$job ;; esac
    if [ $((i % 2)) = 1 ]; then # the next checkpoint from now on
        while kill -0 $job 2>/dev/null && ! is_writing "$line"; do :; done
    fi
    kill -KILL "$victim" 2>/dev/null || true
    finish
    for pid in "$@"; do # mpirun gone, its ranks follow
        n=0
        while kill -0 "$pid" 2>/dev/null; do
            n=$((n + 1))
            [ $n -lt 300 ] || fail "rank $pid outlives mpirun"
            sleep 0.1
        done
    done
    case $code in
    0) k=$((k + 1)) ;; # the job was done before
    137)
        i=$((i + 1))
        half=$(find "$line" -name '*.tmp-*' 2>/dev/null | wc -l) lost=$(count_lost "$line")
        expected_lost=$((expected_lost + lost))
        [ "$half" = 0 ] || saving=$((saving + 1))
        say "kill $i: v$k after $delay s, target $target; $half half-written, $lost steps lost" ;;
    *) cat "$dir/part"; fail "killed after $delay s, target $target: ended with $code" ;;
    esac
    if [ $k = 3 ]; then
        judge "$line"
        say "$(lost_in "$line") steps lost in the ledger, $expected_lost counted here"
        [ "$(lost_in "$line")" -le $expected_lost ] || fail "more steps lost than were executed"
        round=$((round + 1)) expected_lost=0 k=1
        line="$dir/killed$round"
    fi
done
for k in 1 2; do complete "$line" $k; done
judge "$line"
say "$(lost_in "$line") steps lost in the ledger, $expected_lost counted here"
[ "$(lost_in "$line")" -le $expected_lost ] || fail "more steps lost than were executed"
[ $expected_lost = 0 ] || [ "$(lost_in "$line")" -gt 0 ] || fail "no step is counted as lost"
say "$kills kills, $saving while a checkpoint was written; $((round + 1)) lines with the same bits"
[ $saving -gt 0 ] || [ "$kills" -lt 20 ] || fail "no kill hit a checkpoint that was being written"

# ---- SIGUSR1, SIGTERM ----
i=0 round=0 k=1
line="$dir/asked0"
while [ $i -le "$signals" ]; do
    next_moment
    start "$line" "$k"
    while ! grep -q switchyard "$dir/part" && kill -0 $job 2>/dev/null; do sleep 0.02; done # mpirun is deaf before it has started its ranks
    sleep "$delay"
    if [ $i -lt "$signals" ]; then
        signal=USR1
        kill -USR1 $job 2>/dev/null || true
    else
        signal=TERM
        # shellcheck disable=SC2046  # one of two pids
        kill -TERM $(pgrep -P $job | sed -n "$((target % 2 + 1))p") 2>/dev/null || true
    fi
    finish
    # mpirun that has no ranks any more is as deaf as at first: its own end by the signal (128 + 10), not that of a rank
    if [ $code = 138 ] && grep -q 'is finished' "$dir/part" && ! grep -q 'exited on signal' "$dir/part"; then code=0; fi
    case $code in
    75) i=$((i + 1)); grep -q 'stopped on request at step' "$dir/part" || fail "it does not say where it stopped" ;;
    0) k=$((k + 1)) ;;
    *) cat "$dir/part"; fail "SIG$signal after $delay s: ended with $code" ;;
    esac
    [ $code = 0 ] || say "signal $i: SIG$signal, v$k after $delay s, ended with $code"
    if [ $k = 3 ]; then
        judge "$line"
        same "steps lost" 0 "$(lost_in "$line")"
        round=$((round + 1)) k=1
        line="$dir/asked$round"
    fi
done
for k in 1 2; do complete "$line" $k; done
judge "$line"
same "steps lost" 0 "$(lost_in "$line")"
say "$((signals + 1)) signals; $((round + 1)) lines with the same bits"
