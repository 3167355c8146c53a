#!/bin/sh
# bad_input.sh CASE TRAINER MPIEXEC — what a user can get wrong, or find broken: the exit code, one error line that names the
# place and the values, no hang, and nothing lost. Every line of a case is checked, also after one that fails.
set -eu
case_name=$1 TRAINER=$2 MPIEXEC=$3
. "$(dirname "$0")/tiny_line.sh"
n_failed=0
LIMIT=60 # seconds; the machine may be busy. Nothing here works for more than one.
# a program that soon ends need not look for networks, nor start a daemon where it runs without mpirun
export OMPI_MCA_pml=ob1 OMPI_MCA_ess_singleton_isolated=1

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
    set -f # "**" is no list of files
    for part in $parts; do
        case $line in *"$part"*) ;; *) wrong "\"$part\" is missing" ;; esac
    done
    set +f
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
folder) # stored models and tokenizers, whole but for one thing
    hf="$(dirname "$0")/golden/hf"
    mkdir "$dir/one" "$dir/shards" "$dir/new"
    cp "$hf/llama/config.json" "$hf/llama/model.safetensors" "$dir/one"
    cp "$hf/llama-sharded/config.json" "$hf/llama-sharded"/model* "$dir/shards"
    for kind in one shards; do
        say '{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
              "added_tokens": [{"id": 3, "content": "<e>", "special": true}]}' >"$dir/$kind/tokenizer.json"
        say '{"eos_token": "<e>"}' >"$dir/$kind/tokenizer_config.json"
    done
    chmod -R u+w "$dir/one" "$dir/shards"
    { sed '/^model:/d' "$dir/tiny.yaml"; say 'model_name_or_path: m'; } >"$dir/m.yaml"
    # bad VERB WHAT KIND CODE "PART|PART|..." -- command: VERB is refused on $dir/m, a copy of $dir/KIND in which the command was run
    bad() {
        verb=$1 fault=$2 fault_code=$4 place=$5
        rm -rf "$dir/m"
        cp -r "$dir/$3" "$dir/m"
        shift 6
        (cd "$dir/m" && LC_ALL=C "$@")
        case $verb in
        train) set -- "$TRAINER" "$dir/m.yaml" "output_dir=$dir/new" ;;
        train_2) set -- "$MPIEXEC" -n 2 "$TRAINER" "$dir/m.yaml" "output_dir=$dir/new" ;;
        plan) set -- "$TRAINER" plan "$dir/m.yaml" "output_dir=$dir/new" ;;
        logits) set -- "$TRAINER" logits "$dir/m" --ids "0 1" --out "$dir/new/x.safetensors" ;;
        generate) set -- "$TRAINER" generate "$dir/m" --prompt "a<e>" ;;
        tokenize) set -- "$TRAINER" tokenize --tokenizer "$dir/m" ;;
        esac
        refuse "$fault, $verb" "$fault_code" "$place" "$dir/new" -- "$@"
    }
    # shellcheck disable=SC2059  # the format is the bytes
    header_length() { printf "$1" | dd of=model.safetensors conv=notrunc 2>/dev/null; }
    edit() { sed -i "$2" "$1"; }
    w=model.safetensors i=model.safetensors.index.json t=tokenizer.json c=config.json
    W="$dir/m/$w: " I="$dir/m/$i" T="$dir/m/$t" C="$dir/m/$c"

    bad train    "weights cut" one 65 "$W|88704 bytes|57896" -- truncate -s 60000 $w
    bad train_2  "weights cut" one 65 "$W|88704 bytes|57896" -- truncate -s 60000 $w
    bad plan     "a cut header" one 65 "$W|2096 bytes|992" -- truncate -s 1000 $w
    bad logits   "a header beyond all bounds" one 65 "$W|18446744073709551615 bytes|100000000" -- \
        header_length '\377\377\377\377\377\377\377\377'
    bad train    "a header longer than the file" one 65 "$W|1048576 bytes|90800" -- header_length '\0\0\020\0\0\0\0\0'
    bad plan     "a header of 0 bytes" one 65 "$W|'{'" -- header_length '\0\0\0\0\0\0\0\0'
    bad logits   "a header that ends early" one 65 "$dir/m/$w, header:1: |end of input" -- header_length '\060\007\0\0\0\0\0\0'
    bad plan     "a header that is no JSON" one 65 "$dir/m/$w, header:1: |':' expected|';'" -- edit $w 's/"dtype":/"dtype";/'
    bad train    "tensors that overlap" one 65 "$W|model.embed_tokens.weight|12284|12288|lm_head.weight ends" -- \
        edit $w 's/\[12288,24576\]/[12284,24572]/'
    bad logits   "a hole" one 65 "$W|model.norm.weight|98576|88576|layers.1.self_attn.v_proj.weight ends" -- \
        edit $w 's/\[88576,88704\]/[98576,98704]/'
    bad plan     "a tensor behind the end" one 65 "$W|88832 bytes|88704" -- \
        edit $w 's/\[32\],"data_offsets":\[88576,88704\]/[64],"data_offsets":[88576,88832]/'
    bad logits   "a shape that is not its bytes" one 65 "$W|lm_head.weight|F32 [96,33]|12672 bytes|12288" -- edit $w 's/\[96,32\]/[96,33]/'
    bad train    "a doubled name" one 65 "header:1: |duplicate|\"model.layers.0.mlp.up_proj.weight\"" -- \
        edit $w 's/layers.1.mlp.up_proj/layers.0.mlp.up_proj/'
    bad plan     "weights that are none" one 65 "$W|lm_head.weight|I32|F32, F16 or BF16" -- edit $w 's/"F32"/"I32"/'
    bad train    "an empty file" one 65 "$W|is empty" -- truncate -s 0 $w
    bad plan     "no weights" one 65 "$dir/m: |$w|$i" -- rm $w
    bad logits   "pickled weights" one 65 "$dir/m: |pytorch_model.bin|safetensors" -- mv $w pytorch_model.bin

    bad train    "a shard outside" shards 65 "$I: weight_map.lm_head.weight|\"../model-00003-of|same folder" -- \
        edit $i 's/: "model-00003/: "..\/model-00003/'
    bad plan     "a shard by its whole path" shards 65 "$I: weight_map.lm_head.weight|\"/model-00003-of|same folder" -- \
        edit $i 's/: "model-00003/: "\/model-00003/'
    bad train_2  "a missing shard" shards 65 "$dir/m/model-00003-of-00003.safetensors|No such file" -- rm model-00003-of-00003.safetensors
    bad logits   "a tensor in another shard" shards 65 "$I: |self_attn.q_proj.weight|in model-00002-of|in model-00001-of" -- \
        edit $i '/q_proj/s/00001-/00002-/'
    bad train    "a tensor that is nowhere" shards 65 "$I: weight_map.model.norm.bias|model-00002-of" -- \
        edit $i 's/"model.norm.weight": \(.*\)/"model.norm.weight": \1, "model.norm.bias": \1/'
    bad plan     "a tensor that is not listed" shards 65 "model-00001-of|self_attn.q_proj.weight|not listed in $I" -- edit $i /q_proj/d
    bad plan     "a tensor in two shards" shards 65 "model.embed_tokens.weight|model-00001-of|model-00003-of" -- \
        cp model-00001-of-00003.safetensors model-00003-of-00003.safetensors

    bad tokenize "no merges" one 65 "$T: model.merges|nothing|a list" -- edit $t 's/, "merges": .*\]//'
    bad train    "no merges" one 65 "$T: model.merges|nothing|a list" -- edit $t 's/, "merges": .*\]//'
    bad tokenize "a cut tokenizer" one 65 "$T:1: |end of file" -- truncate -s 80 $t
    bad generate "an empty tokenizer" one 65 "$T:1: |end of file" -- truncate -s 0 $t
    bad plan     "no merges.txt" one 65 "error: $dir/m/merges.txt: |No such file" -- mv $t vocab.json
    bad train    "no tokenizer" one 65 "$dir/m: |tokenizer.json, vocab.json or tokenizer.model" -- rm $t
    bad plan     "no end of text" one 78 "$dir/m: |eos_token" -- edit tokenizer_config.json 's/<e>/<x>/'
    bad train    "a token without a row" one 65 "world: |token 96|0 .. 95|$dir/m" -- edit $t 's/"b": 1/"b": 96/'
    bad generate "a token without a row" one 65 "$dir/m: |token 96|0 .. 95" -- edit $t 's/"id": 3/"id": 96/'

    bad train    "another width" one 65 "$W|model.embed_tokens.weight|(96, 32)|(96, 64)" -- edit $c '/hidden_size/s/32/64/'
    bad logits   "another vocabulary" one 65 "$W|model.embed_tokens.weight|(96, 32)|(9999999, 32)" -- edit $c '/vocab_size/s/96/9999999/'
    bad plan     "a layer more" one 65 "$dir/m: |no tensor model.layers.2.input_layernorm.weight" -- edit $c '/hidden_layers/s/2/3/'
    bad plan     "a layer less" one 65 "$W|model.layers.1.input_layernorm.weight" -- edit $c '/hidden_layers/s/2/1/'
    bad logits   "heads that do not fit" one 65 "$C: |num_attention_heads 3|num_key_value_heads 4" -- edit $c '/attention_heads/s/4/3/'
    bad train    "a missing size" one 65 "$C: intermediate_size|nothing|a whole number" -- edit $c /intermediate_size/d
    bad plan     "a size that is a text" one 65 "$C: hidden_size|the text \"32\"|a whole number" -- edit $c '/hidden_size/s/32/"32"/'
    bad train    "an unknown family" one 65 "$C: model_type|\"falcon\"|llama" -- edit $c 's/"llama"/"falcon"/'
    bad train    "no config.json" one 65 "$C: |No such file" -- rm $c
    bad logits   "no config.json" one 65 "$dir/m: |config.json" -- rm $c
    bad logits   "a cut config.json" one 65 "$C:15: |expected" -- truncate -s 300 $c
    bad plan     "no folder" one 65 "model_name_or_path: |is no folder here" -- rm -r ../m ;;
samples) # data of fine-tuning whose second line is bad, and chat templates
    # bad TYPE WHAT "PART|PART|..." LINE: of rows.jsonl
    bad() {
        case $1 in
        jsonl) good='{"text": "a"}' ;;
        completion) good='{"prompt": "a", "completion": "b"}' ;;
        alpaca) good='{"instruction": "a", "output": "b"}' ;;
        messages) good=$talk ;;
        esac
        printf '%s\n' "$good" "$4" >"$dir/rows.jsonl"
        refuse "$1: $2" 65 "$dir/rows.jsonl$3" "$dir/new" -- "$TRAINER" "$dir/$1.yaml" "output_dir=$dir/new"
    }
    for type in jsonl completion alpaca; do
        printf 'max_seq_length: 256\ndatasets: [{path: rows.jsonl, type: %s}]\n' $type | yaml $type
    done
    printf 'max_seq_length: 256\ndatasets: [{path: rows.jsonl, type: messages}]\nchat_template: chatml\n' | yaml messages
    talk='{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'

    bad jsonl      "a cut line" ":2: |byte 11" '{"text": "b'
    bad completion "a cut line" ":2: |byte 33|'}' expected" '{"prompt": "a", "completion": "b"'
    bad alpaca     "a cut line" ":2: |byte" '{"instruction": "a", "output"'
    bad messages   "a cut line" ":2: |byte" '{"messages": [{"role": "user", "content": "a"}, {"role'
    bad jsonl      "a list" ":2: |an array, not an object" '["b"]'
    bad jsonl      "a missing key" ":2: |\"text\" is missing" '{"txt": "b"}'
    bad completion "a missing key" ":2: |\"completion\" is missing" '{"prompt": "a"}'
    bad alpaca     "a missing key" ":2: |\"instruction\" is missing" '{"output": "b"}'
    bad messages   "a missing key" ":2: |\"messages\" is missing|type: alpaca" '{"instruction": "a", "output": "b"}'
    bad jsonl      "a wrong type" ":2: |\"text\"|a number, not a string" '{"text": 3}'
    bad completion "a wrong type" ":2: |\"completion\"|an array, not a string" '{"prompt": "a", "completion": ["b"]}'
    bad alpaca     "a wrong type" ":2: |\"input\"|a number, not a string" '{"instruction": "a", "input": 3, "output": "b"}'
    bad messages   "a wrong type" ":2: |\"messages\"|a string, not an array" '{"messages": "a"}'
    bad completion "a doubled key" ":2: |byte 24|duplicate" '{"prompt": "a", "prompt": "b", "completion": "c"}'
    bad alpaca     "more than its prompt has" ":2: |\"history\"|type: messages" '{"instruction": "a", "output": "b", "history": [["a", "b"]]}'
    bad messages   "no message" ":2: |no message" '{"messages": []}'
    bad messages   "an unknown role" ":2: message 2: |\"asistant\"|system, developer, user, assistant or tool" \
        '{"messages": [{"role": "user", "content": "a"}, {"role": "asistant", "content": "b"}]}'
    bad messages   "an unknown speaker" ":2: message 2: |\"bot\"|human, gpt" \
        '{"conversations": [{"from": "human", "value": "a"}, {"from": "bot", "value": "b"}]}'
    bad messages   "a message that is a text" ":2: message 1: |a string, not an object" '{"messages": ["a"]}'
    bad messages   "content in parts" ":2: message 1: |\"content\"|an array, not a string" \
        '{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}'
    bad completion "nothing to learn" ": sample 2: |on_empty_sample" '{"prompt": "a", "completion": ""}'
    bad alpaca     "nothing to learn" ": sample 2: |on_empty_sample" '{"instruction": "a", "output": ""}'
    bad messages   "nothing to learn" ": sample 2: |on_empty_sample" '{"messages": [{"role": "user", "content": "a"}]}'
    refuse_run     "nothing to learn" 65 "$dir/rows.jsonl: sample 2: |on_empty_sample" "$dir/messages.yaml"

    # template WHAT CODE "PART|PART|..." CHOICE: plan with it
    template() {
        refuse "a template $1" "$2" "$3" "$dir/new" -- "$TRAINER" plan "$dir/messages.yaml" "output_dir=$dir/new" "chat_template=$4"
    }
    # written WHAT "PART|PART|..." TEXT: the same with a file of this text
    written() {
        printf '%s\n' "$3" >"$dir/t.jinja"
        template "$1" 65 "$dir/t.jinja:$2" "$dir/t.jinja"
    }
    say "$talk" >"$dir/rows.jsonl"
    written "with a statement" "2: |{% include %}|known: for, if" "text
{% include 'other' %}"
    written "with a filter" "1: |\"wordwrap\"|known: trim" '{% for m in messages %}{{ m.content | wordwrap }}{% endfor %}'
    written "with a test" "1: |\"odder\"|known: defined" '{{ 1 is odder }}'
    written "with an operator" "1: |**|known: +" '{{ 2 ** 3 }}'
    written "with a method" "1: |\"zfill\"|known: of strings" '{{ messages[0].content.zfill(3) }}'
    written "with a function" "1: |\"lipsum\"|known: macros" '{{ lipsum() }}'
    written "that is not closed" "1: |{% endfor %}" '{% for m in messages %}'
    written "that refuses" "1: only tools" '{{ raise_exception("only tools") }}'
    template "that is not there" 65 "$dir/none.jinja: |No such file" "$dir/none.jinja"
    template "nobody knows" 78 'chat_template|"chatmi"|chatml, gemma' chatmi
    template "of no folder" 78 'chat_template|tokenizer_default|chatml, gemma' tokenizer_default ;;
memory) # gates for a memory: sizes that do not fit, another base, nothing to read, nowhere to go
    gate() { printf 'max_seq_length: 32\nmodel: {max_position_embeddings: 64}\ntrainable: [{kind: memory_gate, %s}]\n' "$2" | yaml "$1"; }
    gate none 'segment_len: 0'
    refuse_run "segments of nothing" 78 'none.yaml:4|segment_len|0 lies outside' "$dir/none.yaml"
    gate wide 'segment_len: 65'
    refuse_run "a segment longer than the model's positions" 78 'wide.yaml:4|segment_len: found 65|max_position_embeddings: 64' "$dir/wide.yaml"
    gate sight 'segment_len: 8, n_window: 9'
    refuse_run "a window larger than the segment" 78 'sight.yaml:4|n_window: found 9|segment_len: 8' "$dir/sight.yaml"
    gate short 'segment_len: 32'
    refuse_run "rows of one segment" 78 'short.yaml:4|max_seq_length: found 32|segment_len: 32' "$dir/short.yaml"
    gate update 'segment_len: 8, memory_update: sum'
    refuse_run "an update that there is not" 78 'update.yaml:4|memory_update|sum|linear' "$dir/update.yaml"
    gate out 'segment_len: 8'
    refuse_run "a form for other programs" 78 'export_to|memory_gate' "$dir/out.yaml" export_to=[hf]
    refuse_run "another family" 78 'rotary positions' "$dir/out.yaml" model.model_type=gpt2
    expect_run 1 "output_dir=$dir/base" max_steps=4
    expect_run 1 "output_dir=$dir/other" max_steps=4 seed=2
    cp -R "$dir/base/releases/v1" "$dir/weights"
    "$TRAINER" "$dir/out.yaml" "output_dir=$dir/gates" "init_from=$dir/weights" max_steps=2 >>"$dir/log" 2>&1 || { cat "$dir/log"; fail "gates"; }
    refuse "an empty prompt" 65 'empty prompt' "$dir/gates" -- "$TRAINER" generate "$dir/gates" --prompt ""
    refuse "gates in a model folder" 78 'cannot load it|transformers|pass on this directory' "$dir/gates" -- "$TRAINER" export "$dir/gates" --to hf
    refuse "gates as an adapter of PEFT" 78 'cannot load it|vLLM' "$dir/gates" -- "$TRAINER" export "$dir/gates" --to peft
    refuse "no memory to leave unread" 78 '--without-memory' "$dir/base" -- "$TRAINER" eval "$dir/base" --without-memory
    rm -r "$dir/weights"
    cp -R "$dir/other/releases/v1" "$dir/weights"
    refuse "gates of another base" 65 "$dir/weights|SHA-256" "$dir/gates" -- "$TRAINER" generate "$dir/gates" --prompt "a text that is longer than a segment" ;;
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
        same "left over" 0 "$(find "$dir/stop$np" -name '*.tmp*' | wc -l)"
    done
    first=$(payload "$dir/stop1/checkpoints/step-000001")
    same "weights before it, 1 and 2 ranks" "$first" "$(payload "$dir/stop2/checkpoints/step-000001")"
    for np in 1 2; do
        refuse "a gradient that is not finite, $np ranks" 65 'micro-batch 0|the gradient is not finite|nothing was updated' "$dir/none" -- \
            "$MPIEXEC" -n $np "$TRAINER" "$dir/wild.yaml" model.rms_norm_eps=1e-20 compute_dtype=fp32 "output_dir=$dir/grad$np"
    done
    refuse "too many steps skipped" 65 'step 4|4 updates were skipped|the limit is 3' "$dir/none" -- \
        "$TRAINER" "$dir/wild.yaml" on_nonfinite=skip max_nonfinite_skips=3 "output_dir=$dir/skip"
    same "steps marked as skipped" 3 "$(grep -c '"skipped"' "$dir/skip/metrics.jsonl")"
    same "weights after three skipped steps" "$first" "$(payload "$dir/skip/checkpoints/step-000004")" ;;
*) fail "no case $case_name" ;;
esac
[ $n_failed = 0 ] || fail "$n_failed checks"
