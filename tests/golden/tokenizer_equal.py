#!/usr/bin/env python3
"""Compares `trainer tokenize` with the tokenizers package, id by id, on mixed real and random text.

    python tests/golden/tokenizer_equal.py TRAINER SHARED_DATA [MEGABYTES] [TOKENIZER ...]

Run by hand; needs `pip install tokenizers`. Prints one line for each tokenizer: texts, bytes, tokens, texts that differ.
"""
import base64
import gzip
import json
import pathlib
import random
import subprocess
import sys
import sysconfig

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")


def letters():
    """The printable letters of byte-level vocabularies, by byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(moved)) for b in range(256)]


def byte_level(model, pattern, specials, normalizer=None, bos=None):
    t = Tokenizer(model)
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in specials])
    if bos:
        t.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, t.token_to_id(bos))])
    return t


def llama3(folder):
    name = letters()
    ranks = {}
    for line in (folder / "tokenizer.model").read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    vocab = {"".join(name[b] for b in token): rank for token, rank in ranks.items()}
    merges = []
    for token, rank in ranks.items():
        cuts = [(token[:k], token[k:]) for k in range(1, len(token))]
        cuts = sorted((ranks[a], ranks[b], a, b) for a, b in cuts if a in ranks and b in ranks)
        merges += [(rank, "".join(name[x] for x in a), "".join(name[x] for x in b)) for _, _, a, b in cuts]
    merges.sort(key=lambda m: m[0])
    known = {0: "begin_of_text", 1: "end_of_text", 4: "finetune_right_pad_id", 6: "start_header_id", 7: "end_header_id",
             8: "eom_id", 9: "eot_id", 10: "python_tag"}
    reserved = iter(f"reserved_special_token_{i}" for i in range(256))
    specials = [f"<|{known.get(i) or next(reserved)}|>" for i in range(256)]
    model = models.BPE(vocab, [m[1:] for m in merges], ignore_merges=True)
    return byte_level(model, LLAMA3, specials, bos="<|begin_of_text|>")


def qwen2(folder):
    model = models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    return byte_level(model, QWEN2, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())


def load(folder):
    if folder.name == "llama3":
        return llama3(folder)
    if folder.name == "qwen2":
        return qwen2(folder)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def pieces(text, rng):
    """Cuts a text into stretches of very different lengths."""
    at = 0
    while at < len(text):
        n = int(10 ** rng.uniform(0.5, 4))
        yield text[at:at + n]
        at += n


def real(shared, rng):
    files = {
        "english": ["lm/wikitext-2/valid.txt", "lm/tinyshakespeare/input.txt", "lm/tinystories/tinystories_sample_2MiB.txt",
                    "lm/reuters21578/v1.jsonl.gz"],
        "chinese": ["text_classification/thucnews_zh/dev.txt", "instruct/alpaca_zh_demo.json", "lm/poetry_zh/v1.jsonl.gz",
                    "smartbench/document_qa.json.gz"],
        "code": [],
    }
    text = {}
    for kind, names in files.items():
        text[kind] = ""
        for name in names:
            path = shared / name
            if path.exists():
                raw = gzip.open(path).read() if name.endswith(".gz") else path.read_bytes()
                text[kind] += raw.decode("utf-8", "replace")
    stdlib = pathlib.Path(sysconfig.get_paths()["stdlib"])
    root = pathlib.Path(__file__).resolve().parents[2]
    code = [*sorted(root.rglob("*.[ch]")), *sorted(root.rglob("*.py")), *sorted(stdlib.glob("*.py"))]
    text["code"] = "\n".join(p.read_text("utf-8", "replace") for p in code)
    return {kind: list(pieces(t, rng)) for kind, t in text.items()}


def random_text(rng, words):
    """Characters from all over Unicode, alone, in runs of one script, beside spaces, digits, marks and special tokens."""
    out = []
    for _ in range(rng.randint(1, 60)):
        way = rng.random()
        if way < 0.25:
            out.append(chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000), rng.randrange(0x3000)])))
        elif way < 0.45:
            start = rng.choice([0x20, 0x80, 0x250, 0x300, 0x370, 0x400, 0x590, 0x600, 0x900, 0xE00, 0x1100, 0x1E00, 0x2000,
                                0x2C00, 0x3040, 0x4E00, 0xA000, 0xAC00, 0xF900, 0xFB50, 0xFF00, 0x10000, 0x11000, 0x1D400,
                                0x1F300, 0x20000])
            out.append("".join(chr(start + rng.randrange(0x100)) for _ in range(rng.randint(1, 8))))
        elif way < 0.6:
            out.append("".join(rng.choice(" \t\n\r\x0b\x0c\x85\xa0\u1680\u180e\u2003\u2028\u202f\u3000\u200b\ufeff")
                               for _ in range(rng.randint(1, 6))))
        elif way < 0.7:
            out.append(rng.choice("aeiouAEIOUncs가각") + "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randint(1, 4))))
        elif way < 0.8:
            out.append(str(rng.randrange(10 ** rng.randint(1, 12))))
        elif way < 0.9:
            out.append(rng.choice(words))
        else:
            out.append(rng.choice(["'s", "'S", "'ſ", "'ll", "'LL", "n't", "…", "—", "''", "'", "\0", "<", "|>", "▁", "  ", "=" * 9]))
    return "".join(out)


def sample(shared, megabytes, words, seed=1):
    """A quarter each of English, Chinese, code and random characters."""
    rng = random.Random(seed)
    texts = []
    kinds = real(shared, rng)
    for kind in [*kinds, "random"]:
        left = megabytes * 1e6 / 4
        pool = rng.sample(kinds[kind], len(kinds[kind])) if kind in kinds else None
        i = 0
        while left > 0:
            text = pool[i % len(pool)] if pool else random_text(rng, words)
            texts.append(text)
            left -= len(text.encode())
            i += 1
    return texts


def ours(trainer, folder, lines, *flags):
    run = subprocess.run([trainer, "tokenize", "--tokenizer", str(folder), *flags], input="".join(lines).encode(),
                         stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def compare(trainer, folder, shared, megabytes):
    theirs = load(folder)
    words = [t.content for t in theirs.get_added_tokens_decoder().values()] or ["<s>"]
    texts = sample(shared, megabytes, words)
    lines = [json.dumps(t) + "\n" for t in texts]
    n_token = n_differ = n_decode = 0
    for special in (True, False):
        mine = ours(trainer, folder, lines, "--json-in", *([] if special else ["--no-special"]))
        assert len(mine) == len(texts)
        for text, ids in zip(texts, mine):
            expected = theirs.encode(text, add_special_tokens=special).ids
            n_token += len(expected)
            if ids != expected:
                n_differ += 1
                if n_differ <= 5:
                    k = next((k for k, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
                    print(f"  {folder.name}: token {k}: {ids[k - 2:k + 4]} expected {expected[k - 2:k + 4]} "
                          f"{[theirs.id_to_token(i) for i in expected[k - 2:k + 4]]} in {text[:200]!r}")
        back = ours(trainer, folder, [json.dumps(i) + "\n" for i in mine], "--decode", "--json-out")
        for ids, text in zip(mine, back):
            expected = theirs.decode(ids, skip_special_tokens=False)
            if text != expected:
                n_decode += 1
                if n_decode <= 3:
                    print(f"  {folder.name}: decoded {text[:120]!r} expected {expected[:120]!r}")
    n_bytes = sum(len(t.encode()) for t in texts)
    print(f"{folder.name}: {2 * len(texts)} texts, {2 * n_bytes} bytes, {n_token} tokens: "
          f"{n_differ} texts differ, {n_decode} differ decoded")
    return n_differ


def main():
    trainer, shared = sys.argv[1], pathlib.Path(sys.argv[2])
    megabytes = float(sys.argv[3]) if len(sys.argv) > 3 else 10
    names = sys.argv[4:] or ["gpt2", "llama2", "llama3", "qwen2", "gpt_neox", "tiny_hf"]
    sys.exit(1 if sum(compare(trainer, shared / "tokenizers" / name, shared, megabytes) for name in names) else 0)


main()
