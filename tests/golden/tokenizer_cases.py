#!/usr/bin/env python3
"""Writes tests/tokenizer_cases.h: what the tokenizers package makes of single steps of tokenizer.json.

    python tests/golden/tokenizer_cases.py >tests/tokenizer_cases.h
"""
import json

from tokenizers import Tokenizer

NORMALIZERS = [
    ({"type": "NFC"}, "e\u0301 \u1e9b\u0323 \u1100\u1161\u11a8 \u212b A"),
    ({"type": "NFD"}, "\u00e9 \uac01 \u1e69 x"),
    ({"type": "NFKC"}, "\ufb01 \u2460 \uff21 \u1e9b\u0323"),
    ({"type": "NFKD"}, "\ufb01 \u00bd \u00e9"),
    ({"type": "Lowercase"}, "ÀB\u0130 Ǆ ß"),
    ({"type": "Strip", "strip_left": True, "strip_right": True}, " \t\u3000a b\u00a0\n"),
    ({"type": "Strip", "strip_left": False, "strip_right": True}, "  a  "),
    ({"type": "Strip", "strip_left": True, "strip_right": False}, "  a  "),
    ({"type": "StripAccents"}, "e\u0301\u0323 \u0903a\u20dd"),
    ({"type": "Prepend", "prepend": "▁"}, "a b"),
    ({"type": "Replace", "pattern": {"String": "."}, "content": "(.)"}, "a.b.."),
    ({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "_"}, "a  b   c d"),
    ({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "-"}, "axxb"),
    ({"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "NFD"}, {"type": "StripAccents"},
        {"type": "Lowercase"}, {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}, "  É É b "),
]


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


BEHAVIORS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
PRE_TOKENIZERS = [
    *[(split({"String": "-"}, b), "the-final--countdown-") for b in BEHAVIORS],
    *[(split({"Regex": "[0-9]+"}, b, True), "12a3bc45") for b in BEHAVIORS],
    (split({"String": "a.b"}, "Removed"), "xa.bya-bz"),
    (split({"Regex": r"\d{3}"}, "Isolated"), "12345678"),
    (split({"Regex": r"x*"}, "Isolated"), "axxb"),
    (split({"Regex": r"(?=b)"}, "Isolated"), "abab"),
    (split({"Regex": r"\s+"}, "Removed"), "a \u180e b\u3000\u2003c\u0085d"),
    (split({"Regex": r"[^\s]+"}, "Removed"), "a \u180e b"),
    (split({"Regex": r"\w+"}, "Isolated"), "été_1\u0301\u203f!\u2460"),
    (split({"Regex": r"\h+"}, "Isolated"), "xyzAF09g"),
    (split({"Regex": r"^a|b$"}, "Isolated"), "aab\nab"),
    ({"type": "Digits", "individual_digits": True}, "a12\u0663½"),
    ({"type": "Digits", "individual_digits": False}, "a12\u0663½b3"),
    ({"type": "Punctuation", "behavior": "Isolated"}, "a,b!?¿c$+`。"),
    ({"type": "Punctuation", "behavior": "Contiguous"}, "a,.b"),
    ({"type": "Whitespace"}, "Hey, you're\u3000été_1 \u200d- Ⓐ"),
    ({"type": "WhitespaceSplit"}, " a\tb\u3000\u180ec\n"),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, "Hey  you "),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}, "Hey you"),
    ({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": False}, "Hey you"),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, " a"),
    ({"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Isolated"},
        {"type": "Digits", "individual_digits": True}]}, "I paid $30, OK?"),
    ({"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]},
     "a b c"),
]

DECODERS = [
    (None, ["a", "b"]),
    ({"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
     ["Ġthe", "Ġé", "Ã©", "中", "Ċ"]),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, ["▁Hey", "▁y▁", "ou"]),
    ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}, ["▁Hey", "▁you"]),
    ({"type": "Fuse"}, ["a", "b"]),
    ({"type": "ByteFallback"}, ["a", "<0xE4>", "<0xB8>", "<0xAD>", "<0x41>"]),
    ({"type": "Strip", "content": "_", "start": 1, "stop": 2}, ["__a___", "__b"]),
    ({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}, ["▁", "▁a", "<0x20>", "▁b"]),
    ({"type": "Sequence", "decoders": [
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 2, "stop": 0}]}, [" ", "   a", " b"]),
    ({"type": "Replace", "pattern": {"Regex": "[ab]"}, "content": "#"}, ["abc", "b"]),
]


def build(**parts):
    vocab = parts.pop("vocab", {"a": 0})
    return Tokenizer.from_str(json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
                                          "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
                                          "model": {"type": "BPE", "vocab": vocab, "merges": []}, **parts}))


def c(text):
    """A C string of the bytes."""
    out, hexed = [], False
    for b in text.encode():
        plain = 32 <= b < 127 and b not in b'"\\?'
        if plain and hexed and chr(b) in "0123456789abcdefABCDEF":
            out.append('""')
        out.append(chr(b) if plain else {ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "?"}.get(b) or f"\\x{b:02x}")
        hexed = out[-1].startswith("\\x")
    return '"' + "".join(out) + '"'


def table(name, rows):
    print(f"static const StepCase {name}[] = {{")
    for step, text, expected in rows:
        print(f"    {{{c(json.dumps(step))},\n     {c(text)},\n     {c(expected)}}},")
    print("};\n")


print("/* tokenizer_cases.h — single steps of tokenizer.json, a text, and what the tokenizers package makes of it; written by\n"
      " * tests/golden/tokenizer_cases.py. */\n#ifndef TESTS_TOKENIZER_CASES_H\n#define TESTS_TOKENIZER_CASES_H\n")
print("typedef struct StepCase {\n    const char *step, *text, *expected; /* pieces: \"|\" behind each; tokens: \"|\" between them */\n"
      "} StepCase;\n\n// clang-format off")
table("NORMALIZERS", [(n, t, build(normalizer=n).normalizer.normalize_str(t)) for n, t in NORMALIZERS])
table("PRE_TOKENIZERS", [(p, t, "".join(s + "|" for s, _ in build(pre_tokenizer=p).pre_tokenizer.pre_tokenize_str(t)))
                         for p, t in PRE_TOKENIZERS])
table("DECODERS", [(d, "|".join(tokens), build(decoder=d, vocab={t: i for i, t in enumerate(tokens)}).decode(
    list(range(len(tokens))), skip_special_tokens=False)) for d, tokens in DECODERS])
print("// clang-format on\n#endif")
