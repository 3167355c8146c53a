"""Full training of a GPT-2 of 124M parameters with PyTorch: a plain loop, sdpa attention, fused AdamW, f32 weights.

full.py STEPS BATCH T bf16|f32 eager|compile MICRO      bf16: autocast
Prints the loss of the last step and tokens/s, the median of all steps but the first.
"""
import os, statistics, sys, time
import torch
from transformers import GPT2Config, GPT2LMHeadModel

steps, batch, T, dtype, mode, micro = sys.argv[1:7]
steps, batch, T, micro = int(steps), int(batch), int(T), int(micro)
torch.manual_seed(1)
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
config = GPT2Config(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, use_cache=False)
model = GPT2LMHeadModel._from_config(config, attn_implementation="sdpa").train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
run, rates = torch.compile(model) if mode == "compile" else model, []
for step in range(steps):
    ids = torch.randint(0, 256, (batch, T))
    begin = time.perf_counter()
    n_label, total = torch.tensor(batch * (T - 1)), 0.0
    for i in range(0, batch, micro):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            loss = run(input_ids=ids[i:i + micro], labels=ids[i:i + micro], num_items_in_batch=n_label).loss
        loss.backward()
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    rates.append(batch * T / (time.perf_counter() - begin))
print(f"loss {total:.4f}  tokens/s {statistics.median(rates[1:] or rates):.1f}")
