"""check_export.py --ids "1 2 3" [--base DIR] (DIR LOGITS)... — do transformers and PEFT see what Switchyard wrote?

DIR is a Hugging Face folder or a PEFT adapter (its base: --base, else what adapter_config.json names); LOGITS is what
`trainer logits` wrote for the same ids: a safetensors file with one float32 tensor `logits` (tokens, vocabulary).
Prints for each the largest difference relative to the largest logit; exit 1 if one is above LIMIT, 2 on wrong use.
--ids may be golden: those of tests/golden/hf, the same for every model there.
"""
import argparse
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

LIMIT = 1e-4


def load(folder, base):
    if not (folder / "adapter_config.json").exists():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    base = base or PeftConfig.from_pretrained(folder).base_model_name_or_path
    return PeftModel.from_pretrained(load(Path(base), None), folder)


def distance(folder, base, logits_file, ids):
    with torch.no_grad():
        expected = load(folder, base).eval()(ids[None], use_cache=False).logits[0]
    found = load_file(logits_file)["logits"]
    if found.shape != expected.shape or found.dtype != torch.float32:
        sys.exit(f"{logits_file}: {found.dtype} {tuple(found.shape)}, expected float32 {tuple(expected.shape)}")
    return ((found - expected).abs().max() / expected.abs().max()).item()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--ids", required=True, help='"1 2 3", or golden')
    p.add_argument("--base", type=Path, help="the folder that adapters belong to")
    p.add_argument("pair", nargs="+", metavar="DIR LOGITS", type=Path)
    a = p.parse_args()
    if len(a.pair) % 2:
        p.error("each DIR needs its LOGITS")
    logging.disable_progress_bar()
    if a.ids == "golden":
        ids = load_file(Path(__file__).parent / "hf/llama/golden.safetensors")["input_ids"].long()
    else:
        ids = torch.tensor([int(i) for i in a.ids.split()])
    far = 0
    for folder, logits_file in zip(a.pair[::2], a.pair[1::2]):
        d = distance(folder, a.base, logits_file, ids)
        near = d <= LIMIT                                  # False for NaN
        far += not near
        print(f"{folder}: {d:.2e} of the largest logit{'' if near else f', above {LIMIT:.0e}'}", flush=True)
    sys.exit(1 if far else 0)


main()
