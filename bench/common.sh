# common.sh — sourced by benchmarks that run the trainer: the release build, a folder to work in that goes away, medians.
. "$(dirname "$0")/../scripts/common.sh"
build release
trainer=build/release/trainer/trainer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

median() { sort -g | awk '{x[NR] = $1} END {print NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2}'; }
# step_seconds OUTPUT_DIR: of all steps of a run but the first
step_seconds() {
    find "$1" -name metrics.jsonl -exec grep -hv '"eval"' {} + | sed -n 's/.*"seconds": *\([0-9.e+-]*\).*/\1/p' | tail -n +2
}
