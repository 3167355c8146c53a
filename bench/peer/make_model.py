"""make_model.py DIR: random bf16 weights of the sizes of Qwen2.5-0.5B."""
import sys
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

torch.manual_seed(0)
config = Qwen2Config(vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
                     num_attention_heads=14, num_key_value_heads=2, max_position_embeddings=32768, rope_theta=1e6,
                     rms_norm_eps=1e-6, tie_word_embeddings=True, bos_token_id=151643, eos_token_id=151643)
Qwen2ForCausalLM._from_config(config, dtype=torch.bfloat16).save_pretrained(sys.argv[1])
