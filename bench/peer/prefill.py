"""Time to the first token of a long prompt with transformers: bf16, sdpa, a KV cache, logits of the last token alone.

prefill.py MODEL TOKENS
"""
import os, sys, time
import torch
from transformers import AutoModelForCausalLM

folder, n = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
torch.manual_seed(1)
ids = torch.randint(0, model.config.vocab_size, (1, n))
begin = time.perf_counter()
with torch.inference_mode():
    token = model(ids, use_cache=True, logits_to_keep=1).logits[0, -1].argmax()
print(f"first_token_s {time.perf_counter() - begin:.3f} ({int(token)})")
