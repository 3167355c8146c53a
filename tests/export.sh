#!/bin/sh
# export.sh TRAINER MPIEXEC — a release becomes a Hugging Face folder, the folder a base: of LoRA, whose adapter leaves and comes
# in again, and of a line of its own.
set -eu
TRAINER=$1 MPIEXEC=$2
src=$(cd "$(dirname "$0")/.." && pwd)
. "$src/tests/tiny_line.sh"

export_to() { "$TRAINER" export "$@" --verify >>"$dir/export.log" 2>&1 || { tail -n 3 "$dir/export.log"; fail "export $*"; }; }
logits() { # DIR NAME [--base DIR]
    from=$1 name=$2
    shift 2
    "$TRAINER" logits "$from" --ids "0 10 84 104 101 32 99" --out "$dir/$name.logits" "$@" 2>>"$dir/log" || { tail -n 3 "$dir/log"; fail "logits of $from"; }
    sha256sum <"$dir/$name.logits" | cut -c1-16
}
said() { "$TRAINER" generate "$1" --prompt "Where does " --max-new-tokens 24 2>>"$dir/log"; }
near() { # WHAT FILE: the logits that were read again
    off=$(sed -n 's/^read again: logits differ by \([^ ]*\) .*/\1/p' "$dir/export.log" | tail -n 1)
    awk -v off="$off" 'BEGIN {exit !(off != "" && off + 0 < 1e-5)}' || fail "$1: logits off by \"$off\""
    say "$1: logits off by $off"
}

# a release of this program, as a folder with a tokenizer
expect_run 1 "output_dir=$dir/line"
export_to "$dir/line" --release v1 --to hf --out "$dir/base"
near "v1 as a folder"
same "logits of v1 and of its folder" "$(logits "$dir/line" a --release v1)" "$(logits "$dir/base" b)"
same "v1 and its folder go on" "$(said "$dir/line")" "$(said "$dir/base")"
same "ids, by bytes and by the folder's tokenizer" "[10, 84, 104, 195, 169, 32, 9]" \
    "$(printf '"\\nTh\\u00e9 \\t"\n' | "$TRAINER" tokenize --tokenizer "$dir/base" --json-in | sed 's/,\([^ ]\)/, \1/g')"
base_hash=$(sha256sum <"$dir/base/model.safetensors")

# LoRA on the folder, resumed from an adapter
cat >"$dir/lora.yaml" <<YAML
model_name_or_path: base
datasets: [{type: world, name: world, world_version: 2, world_bytes: 7680}]
finetuning_type: lora
lora_r: 4
use_rslora: true
modules_to_save: [norm, embed_tokens]
lora_target_modules: [q_proj, down_proj]
max_seq_length: 32
global_batch_size: 8
max_steps: 12
learning_rate: 3e-3
save_steps: 0
report_to: jsonl
YAML
train() { "$MPIEXEC" -n "$1" "$TRAINER" "$dir/$2.yaml" "output_dir=$dir/$3" >>"$dir/log" 2>&1 </dev/null || { tail -n 3 "$dir/log"; fail "$2.yaml"; }; }
train 1 lora tuned
train 2 lora tuned2
same "an adapter, 1 and 2 ranks" "$(payload "$dir/tuned/final")" "$(payload "$dir/tuned2/final")"
same "kind of what stands beside frozen weights" adapter "$(field "$dir/tuned/final" kind)"
same "the base's bytes" "$base_hash" "$(sha256sum <"$dir/base/model.safetensors")"
say "base $(du -sb "$dir/base" | cut -f1) bytes, checkpoint of the adapter $(du -sb "$dir/tuned/final" | cut -f1) bytes, $(field "$dir/tuned/final" trainable_params) parameters"
export_to "$dir/tuned" --to peft --out "$dir/adapter"
near "an adapter"
export_to "$dir/tuned" --to hf --out "$dir/merged/"
near "merged"
tuned=$(logits "$dir/tuned" c)
same "logits of a run and of its adapter" "$tuned" "$(logits "$dir/adapter" d)"
same "the same with the base named" "$tuned" "$(logits "$dir/adapter" e --base "$dir/base")"
same "a run and its adapter go on" "$(said "$dir/tuned")" "$(said "$dir/adapter")"
same "the merged model goes on" "$(said "$dir/tuned")" "$(said "$dir/merged")"
export_to "$dir/adapter" --to hf --out "$dir/merged-later"
same "merged now and later" "$(sha256sum <"$dir/merged/model.safetensors")" "$(sha256sum <"$dir/merged-later/model.safetensors")"

# an adapter as a start: its ranks and layers, its numbers
cat >"$dir/more.yaml" <<YAML
adapter_name_or_path: adapter
datasets: [{type: world, name: world, world_version: 2, world_bytes: 7680}]
max_seq_length: 32
global_batch_size: 8
max_steps: 1
learning_rate: 1e-30
save_steps: 0
report_to: jsonl
YAML
train 1 more more
same "parameters of the adapter that goes on" "$(field "$dir/tuned/final" trainable_params)" "$(field "$dir/more/final" trainable_params)"
same "weights after a step of no length" "$(payload "$dir/tuned/final")" "$(payload "$dir/more/final")"

# what contradicts the adapter
more() { code=0; "$TRAINER" "$dir/more.yaml" "output_dir=$dir/never" "$@" >"$dir/out" 2>"$dir/err" || code=$?; }
more 'trainable=[{kind: lora, lora_r: 4, lora_alpha: 1, use_rslora: true, lora_target_modules: [q_proj, down_proj], modules_to_save: [norm, embed_tokens]}]'
same "exit code with another scale" 78 $code
grep -q "has lora_alpha 16 with rsLoRA, trainable: says 1" "$dir/err" || { cat "$dir/err"; fail "it does not say what differs"; }

# a line that starts from the folder, released as one
cat >"$dir/cpt.yaml" <<YAML
model_name_or_path: base
version: v1
datasets: [{type: world, name: world, world_version: 2, world_bytes: 7680}]
max_seq_length: 32
global_batch_size: 8
learning_rate: 3e-3
export_to: [hf]
save_steps: 0
report_to: jsonl
YAML
train 2 cpt cpt
[ -f "$dir/cpt/exports/v1-hf/config.json" ] || fail "the release was not exported"
same "logits of a release and of its folder" "$(logits "$dir/cpt" f --release v1)" "$(logits "$dir/cpt/exports/v1-hf" g)"
rm -r "$dir/cpt/exports"
train 1 cpt cpt
[ -f "$dir/cpt/exports/v1-hf/config.json" ] || fail "a finished run did not export again"

# what cannot be
refused() { # CODE TEXT ARGUMENTS
    code=0 expected=$1 text=$2
    shift 2
    "$TRAINER" "$@" >"$dir/out" 2>"$dir/err" || code=$?
    same "exit code of $1 ($text)" "$expected" "$code"
    [ "$(wc -l <"$dir/err")" = 1 ] && grep -q "$text" "$dir/err" || { cat "$dir/err"; fail "no \"$text\""; }
}
refused 65 "is there already" export "$dir/tuned" --to hf --out "$dir/merged"
refused 78 "holds no low-rank update" export "$dir/line" --to peft --out "$dir/none"
refused 64 "\-\-to is missing" export "$dir/line"
refused 64 'expected one of hf|peft' export "$dir/line" --to onnx
refused 64 "expected --out DIR" export "$dir/base/." --to hf
refused 64 "expected --out DIR" export "$dir/tuned" --to hf --out ""
refused 65 "so there is no release" export "$dir/base" --release v1 --to hf
printf 'x' | dd of="$dir/base/model.safetensors" bs=1 seek=6000 conv=notrunc 2>/dev/null
refused 65 "was trained on the base" export "$dir/tuned" --to hf --out "$dir/none"
[ -z "$(find "$dir" -maxdepth 1 -name "none*")" ] || fail "something was left behind"
