"""LoRA with PyTorch + PEFT, as well as it goes on a CPU: a plain loop, sdpa attention, fused AdamW, no Trainer.

lora.py MODEL STEPS BATCH T SAMPLES|- FIRST-LAST bf16|f32 eager|compile MICRO
Rows of T random tokens, all of them labelled; with SAMPLES (samples.py) those, sorted by length inside a batch, padded to the
longest of a micro-batch, labels on the answers only. Blocks FIRST to LAST are adapted. Prints the loss of the last step,
tokens/s without padding and samples/s, the medians of all steps but the first.
"""
import json, os, statistics, sys, time
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

folder, steps, batch, T, samples, blocks, dtype, mode, micro = sys.argv[1:10]
steps, batch, T, micro = int(steps), int(batch), int(T), int(micro)
torch.manual_seed(1)
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
model = AutoModelForCausalLM.from_pretrained(
    folder, dtype=torch.bfloat16 if dtype == "bf16" else torch.float32, attn_implementation="sdpa")
model.config.use_cache = False
first, last = (int(b) for b in blocks.split("-"))
chosen = "|".join(str(b) for b in range(first, last + 1))
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules=rf".*\.layers\.({chosen})\..*_proj", task_type="CAUSAL_LM"))
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
run = torch.compile(model, dynamic=samples != "-") if mode == "compile" else model


def random_batches():
    while True:
        ids = torch.randint(0, model.config.vocab_size, (batch, T))
        yield [(ids[i:i + micro], ids[i:i + micro], None) for i in range(0, batch, micro)]


def sample_batches():
    every, at = json.load(open(samples)), 0
    while True:
        chosen = sorted((every[(at + i) % len(every)] for i in range(batch)), key=lambda s: len(s[0]))
        at += batch
        parts = []
        for i in range(0, batch, micro):
            part = chosen[i:i + micro]
            ids = torch.zeros((len(part), max(len(s) for s, _ in part)), dtype=torch.long)
            labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
            for r, (tokens, n_prompt) in enumerate(part):
                ids[r, :len(tokens)] = torch.tensor(tokens)
                labels[r, n_prompt:len(tokens)] = torch.tensor(tokens[n_prompt:])
                mask[r, :len(tokens)] = 1
            parts.append((ids, labels, None if mask.all() else mask))
        yield parts


batches, rates, seconds = random_batches() if samples == "-" else sample_batches(), [], []
for step in range(steps):
    parts = next(batches)
    begin = time.perf_counter()
    n_label = torch.tensor(sum(int((labels[:, 1:] >= 0).sum()) for _, labels, _ in parts))
    n_token = sum(int(ids.numel() if mask is None else mask.sum()) for ids, _, mask in parts)
    total = 0.0
    for ids, labels, mask in parts:
        loss = run(input_ids=ids, attention_mask=mask, labels=labels, num_items_in_batch=n_label).loss
        loss.backward()
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    seconds.append(time.perf_counter() - begin)
    rates.append(n_token / seconds[-1])
print(f"loss {total:.4f}  tokens/s {statistics.median(rates[1:] or rates):.1f}  "
      f"samples/s {batch / statistics.median(seconds[1:] or seconds):.2f}")
