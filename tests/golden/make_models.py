"""make_models.py OUT — small random models of every family, and what transformers and PEFT make of them.

Writes OUT/batches.safetensors and one folder per model; README.md beside this file describes them. Reference values
only: nothing that is built or tested runs this. Made with the versions that README.md names.
"""
import json
import os
import sys
import zlib
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, Gemma2Config, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config,
                          Qwen3Config)
from transformers.utils import logging

V = 96                              # vocabulary of every model
STEPS, B, T = 100, 4, 16            # training: steps, rows, predictions per row
LONG, SHORT, N_GREEDY = 37, 11, 24  # tokens of the two sequences, tokens generated after the short one
BETAS, EPS, DECAY, MAX_NORM = (0.9, 0.95), 1e-8, 0.1, 1.0
LR, LORA_LR = 3e-3, 1e-2
LORA_RANK, LORA_ALPHA = 4, 8

TINY = dict(vocab_size=V, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=2e-3, bos_token_id=1, eos_token_id=2)
MINI = TINY | dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
                   num_key_value_heads=1, head_dim=16)


def rope(kind, theta=10000.0, **kw):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **kw))


# name: (config, what else). train: with loss curves; v4: config.json as transformers 4 wrote it, which is what nearly
# every published folder holds; dtype, shard: how the weights are stored; hub: GPT-2's own names;
# seed: other weights than those drawn from the name, where rounding grows in training.
MODELS = {
    "llama": (LlamaConfig(**TINY | dict(num_key_value_heads=4)), dict(train=True, v4=True)),
    "llama3": (LlamaConfig(**TINY, **rope("llama3", 500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                          original_max_position_embeddings=64)),
               dict(train=True, v4=True)),
    "mistral": (MistralConfig(**TINY | dict(head_dim=12), sliding_window=6), dict(train=True, v4=True)),
    "qwen2": (Qwen2Config(**TINY, tie_word_embeddings=True, **rope("default", 1e6)),
              dict(train=True, v4=True)),
    "qwen3": (Qwen3Config(**TINY, head_dim=12, tie_word_embeddings=False, **rope("default", 1e6)),
              dict(train=True, seed="qwen3.2")),
    "smollm": (LlamaConfig(**TINY | dict(hidden_size=36, num_attention_heads=3, num_key_value_heads=1),
                           tie_word_embeddings=True, **rope("default", 1e5)), dict(train=True, v4=True)),
    "gpt2": (GPT2Config(vocab_size=V, n_positions=64, n_embd=32, n_inner=80, n_layer=2, n_head=4, bos_token_id=1,
                        eos_token_id=2, layer_norm_epsilon=2e-3, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0),
             dict(train=True, v4=True)),
    "gemma2": (Gemma2Config(**TINY, head_dim=12, query_pre_attn_scalar=20,
                            sliding_window=6, attn_logit_softcapping=4.0, final_logit_softcapping=6.0,
                            attn_implementation="eager"), dict(train=True, v4=True)),

    "llama-rope-linear": (LlamaConfig(**MINI, attention_bias=True, mlp_bias=True, **rope("linear", factor=4.0)),
                          dict(v4=True)),
    "llama-rope-dynamic": (LlamaConfig(**MINI | dict(max_position_embeddings=16), **rope("dynamic", factor=2.0)),
                           dict(v4=True)),
    "llama-rope-yarn": (LlamaConfig(**MINI, **rope("yarn", 100.0, factor=4.0, beta_fast=8.0, beta_slow=1.0,
                                                   original_max_position_embeddings=32)), dict(v4=True)),
    "llama-v5-config": (LlamaConfig(**MINI, **rope("llama3", 500.0, factor=8.0, low_freq_factor=1.0,
                                                   high_freq_factor=4.0, original_max_position_embeddings=64)), {}),
    "qwen2-sliding": (Qwen2Config(**MINI | dict(num_hidden_layers=2), use_sliding_window=True, sliding_window=6,
                                  max_window_layers=1), dict(v4=True)),
    "gpt2-hub": (GPT2Config(vocab_size=V, n_positions=40, n_embd=24, n_layer=1, n_head=2, bos_token_id=1,
                            eos_token_id=2), dict(v4=True, hub=True)),
    "llama-bf16": (LlamaConfig(**MINI, dtype="bfloat16"), dict(dtype=torch.bfloat16, v4=True)),
    "llama-f16": (LlamaConfig(**MINI, dtype="float16"), dict(dtype=torch.float16, v4=True)),
    "llama-sharded": (LlamaConfig(**MINI, dtype="bfloat16"), dict(dtype=torch.bfloat16, shard="6KB", v4=True)),
}


# --- models ---

def seed_of(text):
    return zlib.crc32(text.encode())


def randomise(model, name):
    """Gives every parameter values that show: norms away from 1 (Gemma: from 0), biases away from 0."""
    rng = np.random.default_rng(seed_of(name))
    gemma = model.config.model_type == "gemma2"
    for key, p in model.named_parameters():
        x = torch.from_numpy(rng.standard_normal(tuple(p.shape)).astype(np.float32))
        if "norm" in key or ".ln_" in key:
            x = 0.2 * x + (0.0 if gemma or key.endswith("bias") else 1.0)
        elif p.dim() == 1:
            x = 0.2 * x
        elif "emb" in key or ".wte" in key or ".wpe" in key:
            x = 0.3 * x
        else:
            conv1d = model.config.model_type == "gpt2" and "lm_head" not in key
            x = x / (p.shape[0] if conv1d else p.shape[1]) ** 0.5
        p.data.copy_(x)


def as_v4(folder):
    """Rewrites config.json in the words of transformers 4: rope_theta, rope_scaling, torch_dtype, no layer_types."""
    path = folder / "config.json"
    c = json.loads(path.read_text())
    scaling = c.pop("rope_parameters", None)
    if scaling:
        c["rope_theta"] = scaling.pop("rope_theta")
        c["rope_scaling"] = scaling if scaling["rope_type"] != "default" else None
        if c["rope_scaling"] and scaling["rope_type"] in ("linear", "dynamic"):
            scaling["type"] = scaling.pop("rope_type")    # the older key
    c.pop("layer_types", None)
    c["torch_dtype"] = c.pop("dtype", "float32")
    c["transformers_version"] = "4.44.0"
    path.write_text(json.dumps(dict(sorted(c.items())), indent=2) + "\n")


def as_hub(folder):
    """GPT-2 as its authors' files have it: no "transformer." in front, and the causal mask among the tensors."""
    path = folder / "model.safetensors"
    t = {k.removeprefix("transformer."): v for k, v in load_file(path).items()}
    c = json.loads((folder / "config.json").read_text())
    n = c["n_positions"]
    for i in range(c["n_layer"]):
        t[f"h.{i}.attn.bias"] = torch.tril(torch.ones(n, n)).view(1, 1, n, n)
    save_file(t, path, metadata={"format": "pt"})


def write_folder(folder, name, cfg, also):
    torch.manual_seed(seed_of(name))
    model = AutoModelForCausalLM.from_config(cfg)
    randomise(model, also.get("seed", name))
    model.to(also.get("dtype", torch.float32))
    model.save_pretrained(folder, max_shard_size=also.get("shard", "1GB"))
    if also.get("v4"):
        as_v4(folder)
    if also.get("hub"):
        as_hub(folder)


def load(folder, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


# --- data: a noisy walk over the vocabulary, so that there is something to learn ---

def walk(rng, *shape):
    x = np.empty(shape, np.int32)
    x[..., 0] = rng.integers(0, V, shape[:-1])
    for t in range(1, shape[-1]):
        x[..., t] = np.where(rng.random(shape[:-1]) < 0.2, rng.integers(0, V, shape[:-1]), (5 * x[..., t - 1] + 7) % V)
    return torch.from_numpy(x)


# --- values ---

def logits_of(model, ids):
    return model(ids.long(), use_cache=False).logits


def mean_loss(model, rows):
    """rows (B,T+1): the first T ids go in, the last T are the labels."""
    logits = logits_of(model, rows[:, :-1])
    return F.cross_entropy(logits.reshape(-1, V), rows[:, 1:].reshape(-1).long())


def backward_of_shifted_loss(model, ids):
    model.zero_grad()
    logits = logits_of(model, ids[None])[0]
    loss = F.cross_entropy(logits[:-1], ids[1:].long())
    loss.backward()
    return logits.detach(), loss.detach()


def greedy(model, ids, n):
    """The n ids after ids, and the least distance between the first and the second choice."""
    margin = float("inf")
    for _ in range(n):
        with torch.no_grad():
            top = logits_of(model, ids[None])[0, -1].topk(2)
        margin = min(margin, (top.values[0] - top.values[1]).item())
        ids = torch.cat([ids, top.indices[:1].int()])
    return ids[-n:], margin


def train(model, batches, lr):
    """AdamW as torch has it; the gradient is clipped by MAX_NORM / norm, without torch's 1e-6 under the line."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    plain = [p for n, p in named if p.dim() == 1]          # norms and biases
    matrices = [p for n, p in named if p.dim() > 1]
    opt = torch.optim.AdamW([dict(params=matrices, weight_decay=DECAY), dict(params=plain, weight_decay=0.0)],
                            lr=lr, betas=BETAS, eps=EPS, foreach=False)
    losses, norms = [], []
    for rows in batches:
        opt.zero_grad()
        loss = mean_loss(model, rows)
        loss.backward()
        norm = sum(p.grad.double().square().sum().item() for _, p in named) ** 0.5
        if norm > MAX_NORM:
            for _, p in named:
                p.grad.mul_(MAX_NORM / norm)
        opt.step()
        losses.append(loss.item())
        norms.append(norm)
    return torch.tensor(losses, dtype=torch.float32), torch.tensor(norms, dtype=torch.float32)


def checked(curve, exact):
    """The largest relative distance of a curve from the one in double precision; a curve that rounding moves by much
    is no reference."""
    off = ((curve - exact).abs() / exact.abs()).max().item()
    assert off < 1e-5, off
    return off


# --- LoRA ---

def save_adapter(model, folder, name):
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    c = json.loads(path.read_text())
    c["base_model_name_or_path"] = name
    if isinstance(c["target_modules"], list):
        c["target_modules"].sort()
    path.write_text(json.dumps(c, indent=2) + "\n")


def with_adapter(folder, adapter, dtype=torch.float32, trainable=False):
    return PeftModel.from_pretrained(load(folder, dtype), folder / adapter, is_trainable=trainable,
                                     autocast_adapter_dtype=False)


def canonical(key):
    """The name of a parameter in PEFT's memory -> its name in adapter_model.safetensors."""
    return key.replace(".default", "").replace(".modules_to_save", "")


def lora_values(folder, name, batches, ids, out):
    torch.manual_seed(seed_of(name + "/lora"))
    cfg = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, lora_dropout=0.0, target_modules="all-linear",
                     task_type="CAUSAL_LM", fan_in_fan_out="gpt2" in name)
    save_adapter(get_peft_model(load(folder), cfg), folder / "lora-init", name)

    model = with_adapter(folder, "lora-init", trainable=True)
    out["lora.loss_curve"], out["lora.grad_norm_curve"] = train(model, batches, LORA_LR)
    save_adapter(model, folder / "lora-final", name)
    exact, _ = train(with_adapter(folder, "lora-init", torch.float64, True).double(), batches, LORA_LR)

    model = with_adapter(folder, "lora-final", trainable=True)
    out["lora.logits"], out["lora.loss"] = backward_of_shifted_loss(model, ids)
    for key, p in model.named_parameters():
        if p.requires_grad:
            out["lora.grad." + canonical(key)] = p.grad.clone()
    return checked(out["lora.loss_curve"], exact)


def variant_adapter(folder, name, ids, out):
    """What else an adapter folder may say: rsLoRA, targets by pattern, ranks and alphas by pattern, layers, a module
    that is trained whole. B is not zero."""
    torch.manual_seed(seed_of(name + "/variant"))
    cfg = LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=r".*\.(q_proj|v_proj|down_proj)",
                     rank_pattern={"v_proj": 2}, alpha_pattern={"down_proj": 3}, modules_to_save=["lm_head"],
                     task_type="CAUSAL_LM")
    model = get_peft_model(load(folder), cfg)
    for key, p in model.named_parameters():
        if p.requires_grad:
            p.data.add_(0.1 * torch.randn(p.shape))
    save_adapter(model, folder / "lora-variant", name)
    out["lora_variant.logits"] = logits_of(with_adapter(folder, "lora-variant"), ids[None])[0].detach()


def mlx_adapter(folder, name, ids, out):
    """LoRA as mlx-lm writes it: y = W x + scale (x lora_a) lora_b on the last num_layers blocks, names without prefix,
    a metadata entry that is null, tensors in another order than their names."""
    torch.manual_seed(seed_of(name + "/mlx"))
    rank, scale, model = 4, 3.0, load(folder)
    tensors = {}
    for site in ("model.layers.1.self_attn.v_proj", "model.layers.1.self_attn.q_proj"):
        weight = model.get_submodule(site).weight
        a, b = 0.3 * torch.randn(weight.shape[1], rank), 0.3 * torch.randn(rank, weight.shape[0])
        weight.data += scale * (a @ b).T
        tensors |= {site + ".lora_b": b, site + ".lora_a": a}
    out["lora_mlx.logits"] = logits_of(model, ids[None])[0].detach()

    header, data = {"__metadata__": None}, b""
    for key, x in tensors.items():
        raw = x.numpy().tobytes()
        header[key] = dict(dtype="F32", shape=list(x.shape), data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    (folder / "lora-mlx").mkdir(exist_ok=True)
    (folder / "lora-mlx/adapters.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    (folder / "lora-mlx/adapter_config.json").write_text(json.dumps(dict(
        fine_tune_type="lora", lora_parameters=dict(rank=rank, dropout=0.0, scale=scale), model=name, num_layers=1),
        indent=4) + "\n")


# --- one model ---

def golden(root, name, cfg, also, batches, long, short):
    folder = root / name
    write_folder(folder, name, cfg, also)
    model = load(folder)
    out = {"input_ids": long, "input_ids_short": short}
    note = ""
    out["logits"], out["loss"] = backward_of_shifted_loss(model, long)
    for key, p in model.named_parameters():
        out["grad." + key] = p.grad.clone()
    model = load(folder)                                   # dynamic rope remembers the longest sequence it saw
    out["logits_short"], out["loss_short"] = (x.detach() for x in backward_of_shifted_loss(model, short))
    if "dynamic" not in name:
        out["greedy"], margin = greedy(model, short, N_GREEDY)
        assert margin > 1e-3, (name, margin)
        note += f"  greedy margin {margin:.1e}"
    if also.get("train"):
        c, out["grad_norm_curve"] = train(load(folder), batches, LR)
        exact, _ = train(load(folder, torch.float64), batches, LR)
        out["loss_curve"] = c
        note += f"  full {c[0]:.3f} -> {c[-1]:.3f} (f64 {checked(c, exact):.1e})"
        off = lora_values(folder, name, batches, long, out)
        c = out["lora.loss_curve"]
        note += f"  lora {c[0]:.3f} -> {c[-1]:.3f} (f64 {off:.1e})"
    if name == "llama3":
        variant_adapter(folder, name, long, out)
    if name == "qwen2":
        mlx_adapter(folder, name, long, out)
    save_file({k: v.detach().reshape(v.shape or (1,)).contiguous() for k, v in out.items()},
              folder / "golden.safetensors")
    for f in folder.rglob("*.safetensors"):
        f.chmod(0o644)
    n = sum(p.numel() for p in model.parameters())
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name:20s} {n:6d} params {size / 1024:5.0f} KiB  loss {out['loss'].item():.3f}"
          f"  logits +-{out['logits'].abs().max():.1f}{note}", flush=True)


def main():
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    root = Path(sys.argv[1])
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    batches, long, short = walk(rng, STEPS, B, T + 1), walk(rng, LONG), walk(rng, SHORT)
    save_file({"train_ids": batches}, root / "batches.safetensors")
    for name in sys.argv[2:] or MODELS:
        golden(root, name, *MODELS[name], batches, long, short)


main()
