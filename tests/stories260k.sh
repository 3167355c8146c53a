#!/bin/sh
# stories260k.sh TRAINER CONVERT — a trained model from another program's file: converted, read, and continued token by token as
# that program does. The file is not part of this repository.
set -eu
TRAINER=$1 CONVERT=$2
cd "$(dirname "$0")/.."
from=../shared/data/models/stories260K
[ -d "$from" ] || { echo "skipped: $from is not here"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export OMP_NUM_THREADS=1
"$CONVERT" "$from/stories260K.bin" "$from/tok512_reconstructed.bin" "$dir/model" >/dev/null
flat() { tr -d ' \n' | sed 's/,/, /g'; }
expected=$(flat <"$from/expected_greedy_64.json" | sed 's/"encode_example".*//; s/.*"ids":\[\([^]]*\)\].*/\1/' | cut -d, -f1-62)
text=$("$TRAINER" generate "$dir/model" --prompt "" --max-new-tokens 62 --json | sed -n 's/^ *"text": "\(.*\)",$/\1/p')
given=$(printf '"%s"\n' "$text" | "$TRAINER" tokenize --tokenizer "$dir/model" --json-in --no-special | tr -d '[]' | flat)
echo "$text"
[ -n "$given" ] && [ "$given" = "$expected" ] || { echo "FAILED: ids $given"; echo "expected $expected"; exit 1; }
