# common.sh — sourced by bench/peer_*: the peer's own Python, a folder to work in, runs of both sides with their time and memory.
# PEER_PYTHON=python that has torch, transformers, peft; without it they are installed into a folder of the cache, outside the tree.
# PAIRS=5; PEER="bf16 eager 4" (dtype, eager or compile, sequences per pass) leaves the search for the peer's best setting out.
. "$(dirname "$0")/common.sh"
pairs=${PAIRS:-5} data=$(cd ../shared/data && pwd)
cores=$(nproc)
export OMP_NUM_THREADS="$cores" GOMP_SPINCOUNT=5000 XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

if [ -z "${PEER_PYTHON:-}" ]; then
    env=$XDG_CACHE_HOME/switchyard-peer
    PEER_PYTHON=$env/bin/python
    if ! "$PEER_PYTHON" -c 'import torch, transformers, peft' 2>/dev/null; then
        python3 -m venv "$env"
        "$PEER_PYTHON" -m pip install --quiet torch transformers peft
    fi
fi
"$PEER_PYTHON" -c 'import torch, transformers, peft; print("peer: torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__)'

# ours CONFIG key=value ...: "tokens/s MB", the median of all steps but the first $skip (1)
ours() {
    rm -rf "$work/run"
    build/release/bench/pss_peak "$work/peak" "$trainer" "$@" "output_dir=$work/run" "cache_dir=$work/cache" \
        >"$work/log" 2>&1 </dev/null || { tail -n 5 "$work/log" >&2; exit 1; }
    rate=$(sed -n 's/.*"tokens_per_s": *\([0-9.e+]*\).*/\1/p' "$work/run/metrics.jsonl" | tail -n +$((${skip:-1} + 1)) | median)
    echo "$rate $(cut -d' ' -f1 "$work/peak")"
}
# theirs SCRIPT ARG ...: the same; of $unit (tokens)
theirs() {
    build/release/bench/pss_peak "$work/peak" "$PEER_PYTHON" -W ignore "$@" >"$work/peer.out" 2>"$work/log" </dev/null ||
        { tail -n 5 "$work/log" >&2; return 1; }
    echo "$(sed -n "s/.*${unit:-tokens}\/s \([0-9.]*\).*/\1/p" "$work/peer.out") $(cut -d' ' -f1 "$work/peak")"
}

# best SCRIPT STEPS ARG ... -- SETTING ...: the fastest setting (three words: dtype, mode, micro-batch) goes to $setting
best() {
    setting=${PEER:-} most=0 fixed=""
    while [ "$1" != -- ]; do fixed="$fixed $1"; shift; done
    shift
    [ -z "$setting" ] || return 0
    for s in "$@"; do
        # shellcheck disable=SC2086  # lists of words
        r=$(theirs $fixed $s) || { echo "peer, $s: does not run"; continue; }
        echo "peer, $s: $r (${unit:-tokens}/s, MB)"
        if awk -v a="${r% *}" -v b="$most" 'BEGIN {exit !(a > b)}'; then setting=$s most=${r% *}; fi
    done
    [ -n "$setting" ] || { echo "the peer runs in no setting" >&2; exit 1; }
}

# pairs_of: ours_now and theirs_now take turns; medians of both, and of the ratios of pairs, last
pairs_of() {
    : >"$work/pairs"
    i=0
    while [ $i -lt "$pairs" ]; do
        a=$(ours_now) b=$(theirs_now)
        echo "$a $b" >>"$work/pairs"
        echo "ours $a   peer $b   (${unit:-tokens}/s, MB)"
        i=$((i + 1))
    done
    for c in 1 2 3 4; do eval "m$c=\$(cut -d' ' -f$c '$work/pairs' | median)"; done
    # shellcheck disable=SC2154  # set by eval
    echo "medians of $pairs: ours $m1 ${unit:-tokens}/s, $m2 MB; peer ($setting) $m3 ${unit:-tokens}/s, $m4 MB"
    echo "speed, ours / peer:  $(awk '{printf "%.3f\n", $1 / $3}' "$work/pairs" | median)"
    echo "memory, ours / peer: $(awk '{printf "%.3f\n", $2 / $4}' "$work/pairs" | median)"
}

# a folder with random weights of the sizes of Qwen2.5-0.5B, and its tokenizer
model_05b() {
    "$PEER_PYTHON" -W ignore bench/peer/make_model.py "$work/model" >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; exit 1; }
    cp "$data/tokenizers/qwen2/vocab.json" "$data/tokenizers/qwen2/merges.txt" "$work/model"
}

# samples_of CONFIG FILE: an alpaca file as both sides see it; ours through $sets, in $rows rows, the peer's in $work/samples.json
samples_of() {
    sets="datasets=[{path: $2, type: alpaca}]"
    "$trainer" preprocess "$1" --json "model_name_or_path=$work/model" "$sets" "cache_dir=$work/cache" >"$work/facts" 2>/dev/null
    rows=$(fact rows) samples=$(fact documents) tokens=$(fact tokens)
    "$PEER_PYTHON" bench/peer/samples.py "$work/model" "$2" "$work/samples.json"
}
fact() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$work/facts" | head -n 1; }
# per_step ROWS: as many samples as stand in so many rows
per_step() { awk -v s="$samples" -v r="$rows" -v n="$1" 'BEGIN {printf "%.0f", n * s / r}'; }
