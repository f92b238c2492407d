#!/usr/bin/env python3
"""The rival of the local language model: transformers on the same generated weights, prefill and decode on a CPU.

`make` writes a model folder with random weights of a given shape (safetensors shards, tokenizer of the small golden
model), `run` measures transformers on such a folder. Needs torch, transformers and safetensors.

    qwen_torch.py make FOLDER --size 2b --golden tests/data/golden_qwen3vl_tiny
    qwen_torch.py run FOLDER --prompt 256 --tokens 16 --threads 2 [--dtype float32]
"""

import argparse
import json
import pathlib
import resource
import shutil
import time

# Shapes of the published dense models: text hidden, intermediate, layers, heads, key-value heads, tied head;
# vision hidden, intermediate, depth, heads, deepstack.
SIZES = {
    "2b": (2048, 6144, 28, 16, 8, True, 1024, 4096, 24, 16, [5, 11, 17]),
    "4b": (2560, 9728, 36, 32, 8, True, 1024, 4096, 24, 16, [5, 11, 17]),
    "small": (1024, 3072, 8, 16, 8, True, 512, 2048, 6, 8, [1, 3, 5]),
}


def config_of(size, golden):
    hidden, intermediate, layers, heads, key_heads, tied, v_hidden, v_intermediate, depth, v_heads, deepstack = SIZES[size]
    config = json.loads((golden / "config.json").read_text())
    text = config["text_config"]
    text.update(
        hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=key_heads, head_dim=128, vocab_size=152448, max_position_embeddings=32768,
        tie_word_embeddings=tied,
    )
    text["rope_parameters"]["mrope_section"] = [24, 20, 20]
    config["tie_word_embeddings"] = tied
    config["vision_config"].update(
        hidden_size=v_hidden, intermediate_size=v_intermediate, depth=depth, num_heads=v_heads,
        out_hidden_size=hidden, num_position_embeddings=2304, deepstack_visual_indexes=deepstack,
    )
    return config


def make(args):
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForImageTextToText, Qwen3VLConfig

    folder, golden = pathlib.Path(args.folder), pathlib.Path(args.golden)
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(args.size, golden)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    for name in ("tokenizer.json", "preprocessor_config.json", "generation_config.json"):
        shutil.copyfile(golden / name, folder / name)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(Qwen3VLConfig(**config))
    generator = torch.Generator().manual_seed(0)
    shard, shards, size, names = {}, [], 0, {}

    def flush():
        nonlocal shard, size
        if shard:
            name = f"model-{len(shards):05}.safetensors"
            save_file(shard, folder / name, metadata={"format": "pt"})
            shards.append(name)
            names.update({key: name for key in shard})
            shard, size = {}, 0

    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        shape = tuple(tensor.shape)
        if len(shape) > 1:
            fan_in = tensor.numel() // shape[0]
            value = torch.empty(shape, dtype=torch.bfloat16).uniform_(-1, 1, generator=generator) * (3 / fan_in) ** 0.5
        elif key.endswith("weight"):
            value = torch.ones(shape, dtype=torch.bfloat16)
        else:
            value = torch.zeros(shape, dtype=torch.bfloat16)
        shard[key] = value.contiguous()
        size += value.numel() * 2
        if size > 1 << 30:
            flush()
    flush()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def run(args):
    import torch
    from transformers import AutoModelForImageTextToText

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    dtype = getattr(torch, args.dtype)
    model = AutoModelForImageTextToText.from_pretrained(args.folder, dtype=dtype).eval()
    tokens = (torch.arange(args.prompt) * 7919 % 300).view(1, -1)
    prefill, decode = [], []
    with torch.inference_mode():
        for _ in range(args.repeats):
            start = time.perf_counter()
            out = model(input_ids=tokens, use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            prefill.append(time.perf_counter() - start)
            start = time.perf_counter()
            for _ in range(args.tokens):
                out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
                token = out.logits[:, -1].argmax(-1, keepdim=True)
            decode.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"transformers {args.dtype}: prefill {args.prompt / min(prefill):.1f} tokens/s, "
        f"decode {args.tokens / min(decode):.2f} tokens/s, peak memory {peak:.1f} GB"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("folder")
    making.add_argument("--size", choices=SIZES, default="2b")
    making.add_argument("--golden", default="tests/data/golden_qwen3vl_tiny")
    making.set_defaults(run=make)
    running = commands.add_parser("run")
    running.add_argument("folder")
    running.add_argument("--prompt", type=int, default=256)
    running.add_argument("--tokens", type=int, default=16)
    running.add_argument("--threads", type=int, default=2)
    running.add_argument("--repeats", type=int, default=2)
    running.add_argument("--dtype", default="float32")
    running.set_defaults(run=run)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
