#!/bin/sh
# valgrind.sh TRAINER — two versions of five steps under memcheck: no error, no block that nobody can reach any more. The `reference`
# products, because valgrind knows no AVX-512. What Open MPI itself leaves behind is listed in valgrind.supp.
set -eu
TRAINER=$1 MPIEXEC=
. "$(dirname "$0")/tiny_line.sh"
command -v valgrind >/dev/null || skip "valgrind is not installed"
# set already, or the program would set them and run itself again, out of valgrind's sight
export OPENBLAS_NUM_THREADS=1 OPENBLAS_CORETYPE=Haswell
for k in 1 2; do
    # shellcheck disable=SC2046  # words
    valgrind --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=30 \
        --suppressions="$(dirname "$0")/valgrind.supp" --log-file="$dir/memcheck" \
        "$TRAINER" "$dir/tiny.yaml" $(version_args $k) "output_dir=$dir/l" datasets.0.world_bytes=1280 "report_to=[jsonl, tensorboard]" \
        gemm_backend=reference compute_dtype=fp32 >"$dir/log" 2>&1 || { cat "$dir/log" "$dir/memcheck"; fail "version $k"; }
    grep 'ERROR SUMMARY: 0 errors' "$dir/memcheck" || fail "memcheck has seen nothing of version $k"
done
verified "$dir/l"
