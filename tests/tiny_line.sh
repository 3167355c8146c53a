# tiny_line.sh — sourced by the scripts that run the program as a user does, on lines so small that one takes a second.
# Expects TRAINER and MPIEXEC. Gives a fresh directory $dir, $dir/tiny.yaml, and the functions below.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export XDG_CACHE_HOME="$dir/cache" OMP_NUM_THREADS=1
# mpirun refuses root and more ranks than cores unless told, binds each rank to one core, and lets a waiting rank spin.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1

say() { printf '%s\n' "$*"; }
fail() { say "FAILED: $*"; exit 1; }
skip() { say "skipped: $*"; exit 77; }

# 30 steps of 8 x 32 bytes in each version, a model of 32k parameters
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
save_total_limit: 20
logging_steps: 100
eval_steps: 0
report_to: jsonl
compute_dtype: ${COMPUTE_DTYPE:-auto}
YAML

# arguments K: what makes the config that of version K
version_args() {
    printf 'version=v%s datasets.0.world_version=%s' "$1" "$1"
    [ "$1" = 1 ] || printf ' follows=v%s' $(($1 - 1))
}

# run K [--np N] [key=value ...]: version K of the line; what it prints goes to $dir/log
run() {
    run_np=1 run_k=$1
    shift
    if [ "${1:-}" = --np ]; then
        run_np=$2
        shift 2
    fi
    # shellcheck disable=SC2046  # words
    "$MPIEXEC" -n "$run_np" "$TRAINER" "$dir/tiny.yaml" $(version_args "$run_k") "$@" >>"$dir/log" 2>&1 </dev/null
}
expect_run() {
    code=0
    run "$@" || code=$?
    [ "$code" = 0 ] || { cat "$dir/log"; fail "run $*: ended with $code"; }
}

# one field of a checkpoint
field() { "$TRAINER" inspect --json "$1" | sed -n "s/^ *\"$2\": *\"\{0,1\}\([^\",]*\).*/\1/p" | head -n 1; }
payload() { field "$1" payload_sha256; }
state() { field "$1" state_sha256; }
verified() { "$TRAINER" verify "$1" >"$dir/verify.log" 2>&1 || { cat "$dir/verify.log"; fail "$1 does not verify"; }; }

# same WHAT A B: prints what was compared
same() {
    [ -n "$2" ] || fail "$1: nothing to compare"
    [ "$2" = "$3" ] || fail "$1: $2 and $3 differ"
    say "$1: $2"
}

# "step loss batch" of every optimizer step of a path: metric_steps FILE main|branch
metric_steps() {
    sed -n "s/.*\"path\": *\"$2\".*\"step\": *\([0-9]*\).*\"loss\": *\([^,}]*\).*\"batch_hash\": *\"\([0-9a-f]*\)\".*/\1 \2 \3/p" "$1"
}
