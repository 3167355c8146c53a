"""samples.py TOKENIZER ALPACA.json OUT.json: [ids, length of the prompt] of each sample, in the prompt of Stanford Alpaca."""
import json, sys
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

EOS, LONGEST = 151643, 512
tok = Tokenizer(models.BPE.from_file(f"{sys.argv[1]}/vocab.json", f"{sys.argv[1]}/merges.txt"))
tok.normalizer = normalizers.NFC()
tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
    "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
BELOW = "Below is an instruction that describes a task"
out = []
for s in json.load(open(sys.argv[2])):
    paired = ", paired with an input that provides further context" if s["input"] else ""
    given = f"### Input:\n{s['input']}\n\n" if s["input"] else ""
    prompt = (f"{BELOW}{paired}. Write a response that appropriately completes the request.\n\n"
              f"### Instruction:\n{s['instruction']}\n\n{given}### Response:\n")
    ids = tok.encode(prompt, add_special_tokens=False).ids
    answer = tok.encode(s["output"], add_special_tokens=False).ids + [EOS]
    if len(ids) < LONGEST:
        out.append([(ids + answer)[:LONGEST], len(ids)])
json.dump(out, open(sys.argv[3], "w"))
