#!/usr/bin/env python3
"""The rival side of the CPU speed comparison: SAMTok's network restated in plain PyTorch.

Nothing here ships with the product. The modules carry the published parameter names, so a published
checkpoint loads as it is, and they use what the published code uses (scaled_dot_product_attention, float32,
one image encode for any number of masks). Three jobs, one JSON document on standard output each:

  sam2_torch.py [--preset hiera_l]             time image encode, mask encode, mask decode and peak memory
  sam2_torch.py --golden DIR                   compare every tensor with the golden data in DIR
  sam2_torch.py --golden DIR --dump FILE       the same, and write the intermediate tensors of image 0

Needs torch and numpy; --golden also safetensors and Pillow; --peer transformers also transformers.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def preset(dim, heads, stages, global_blocks, windows, grid):
    """The configuration of a published SAM 2.1 size, with the keys of a model folder's config.json."""
    return {
        "image_size": 1024,
        "trunk": {"embed_dim": dim, "num_heads": heads, "stages": stages, "global_att_blocks": global_blocks,
                  "window_pos_embed_bkg_spatial_size": grid, "window_spec": windows},
        "neck": {"d_model": 256, "backbone_channel_list": [dim * 8, dim * 4, dim * 2, dim],
                 "fpn_top_down_levels": [2, 3]},
        "quantizer": {"codebook_size": 256, "codebook_depth": 2, "latent_dim": 256},
    }


PRESETS = {
    "hiera_t": preset(96, 1, [1, 2, 7, 2], [5, 7, 9], [8, 4, 14, 7], [7, 7]),
    "hiera_s": preset(96, 1, [1, 2, 11, 2], [7, 10, 13], [8, 4, 14, 7], [7, 7]),
    "hiera_b+": preset(112, 2, [2, 3, 16, 3], [12, 16, 20], [8, 4, 14, 7], [14, 14]),
    "hiera_l": preset(144, 2, [2, 6, 36, 4], [23, 33, 43], [8, 4, 16, 8], [7, 7]),
}

# ------------------------------------------------------------------------------------------ image encoder


class Mlp(nn.Module):
    """Linear layers with an activation between them."""

    def __init__(self, *widths, activation=F.relu):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class LayerNorm2d(nn.Module):
    """Normalizes the channels of an NCHW tensor."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        x = centred / torch.sqrt(centred.square().mean(1, keepdim=True) + 1e-6)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def pool(x: Tensor) -> Tensor:
    """2x2 max-pooling of an NHWC tensor."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def to_windows(x: Tensor, window: int) -> Tensor:
    """NHWC to (windows, window, window, C), zero-padded at the bottom and the right."""
    n, h, w, c = x.shape
    x = F.pad(x, (0, 0, 0, -w % window, 0, -h % window))
    rows, columns = x.shape[1] // window, x.shape[2] // window
    x = x.view(n, rows, window, columns, window, c)
    return x.transpose(2, 3).reshape(-1, window, window, c)


def from_windows(x: Tensor, h: int, w: int) -> Tensor:
    """The inverse of `to_windows`, padding cropped."""
    window, c = x.shape[1], x.shape[3]
    rows, columns = -(-h // window), -(-w // window)
    x = x.view(-1, rows, columns, window, window, c).transpose(2, 3)
    return x.reshape(-1, rows * window, columns * window, c)[:, :h, :w]


class HieraAttention(nn.Module):
    """Self-attention over the H x W tokens of each batch entry, queries max-pooled when `pooled`."""

    def __init__(self, dim, dim_out, heads, pooled):
        super().__init__()
        self.heads, self.pooled = heads, pooled
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        q, k, v = self.qkv(x).view(n, h * w, 3, self.heads, -1).unbind(2)
        if self.pooled:
            q = pool(q.reshape(n, h, w, -1))
            h, w = q.shape[1:3]
            q = q.reshape(n, h * w, self.heads, -1)
        x = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.proj(x.transpose(1, 2).reshape(n, h, w, -1))


class HieraBlock(nn.Module):
    """Pre-norm attention and MLP; `window` 0 attends globally; a widening block halves the grid."""

    def __init__(self, dim, dim_out, heads, window):
        super().__init__()
        self.window, self.widens = window, dim != dim_out
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = HieraAttention(dim, dim_out, heads, self.widens)
        self.norm2 = nn.LayerNorm(dim_out, eps=1e-6)
        self.mlp = Mlp(dim_out, 4 * dim_out, dim_out, activation=F.gelu)
        if self.widens:
            self.proj = nn.Linear(dim, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        shortcut, x = x, self.norm1(x)
        if self.widens:
            shortcut = pool(self.proj(x))
        x = self.attn(to_windows(x, self.window) if self.window else x)
        if self.window:
            x = from_windows(x, *shortcut.shape[1:3])
        x = shortcut + x
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 7, stride=4, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 1)


class Hiera(nn.Module):
    """The trunk: one NCHW feature map per stage, finest first."""

    def __init__(self, c):
        super().__init__()
        dim, heads, windows = c["embed_dim"], c["num_heads"], c["window_spec"]
        self.patch_embed = PatchEmbed(dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, dim, *c["window_pos_embed_bkg_spatial_size"]))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, dim, windows[0], windows[0]))
        self.blocks = nn.ModuleList()
        self.stage_ends = []
        for stage, depth in enumerate(c["stages"]):
            for i in range(depth):
                # The first block of a stage still uses the window of the stage before it.
                first = stage > 0 and i == 0
                window = windows[stage - 1] if first else windows[stage]
                if len(self.blocks) in c["global_att_blocks"]:
                    window = 0
                if first:
                    heads *= 2
                self.blocks.append(HieraBlock(dim, 2 * dim if first else dim, heads, window))
                dim = 2 * dim if first else dim
            self.stage_ends.append(len(self.blocks) - 1)

    def position(self, h: int, w: int) -> Tensor:
        """Windowed position embedding, 1 x h x w x C."""
        tile = self.pos_embed_window
        position = F.interpolate(self.pos_embed, size=(h, w), mode="bicubic")
        return (position + tile.tile(1, 1, h // tile.shape[2], w // tile.shape[3])).permute(0, 2, 3, 1)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = self.patch_embed(pixels)
        x = x + self.position(*x.shape[1:3])
        stages = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.stage_ends:
                stages.append(x.permute(0, 3, 1, 2))
        return stages


class Neck(nn.Module):
    """1x1 convolutions to `d_model`, listed coarsest first; finest level first in the result."""

    def __init__(self, c):
        super().__init__()
        self.top_down = c["fpn_top_down_levels"]
        self.convs = nn.ModuleList()
        for channels in c["backbone_channel_list"]:
            self.convs.append(nn.Sequential())
            self.convs[-1].add_module("conv", nn.Conv2d(channels, c["d_model"], 1))

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        levels, above = [], None
        for level in reversed(range(len(stages))):
            here = self.convs[len(stages) - 1 - level](stages[level])
            if above is not None and level in self.top_down:
                here = here + F.interpolate(above, scale_factor=2.0, mode="nearest")
            levels.insert(0, here)
            above = here
        return levels


class ImageEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.trunk = Hiera(config["trunk"])
        self.neck = Neck(config["neck"])

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return self.neck(self.trunk(pixels))[:-1]  # the coarsest level is dropped (scalp = 1)


# -------------------------------------------------------------------------------------------------- heads


class Attention(nn.Module):
    """Multi-head attention of width `dim // downsample`."""

    def __init__(self, dim, downsample=1, heads=8):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(dim, dim // downsample) for _ in range(3))
        self.out_proj = nn.Linear(dim // downsample, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (
            proj(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for proj, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TwoWayLayer(nn.Module):
    """Tokens attend to themselves and to the image, then the image attends to the tokens."""

    def __init__(self, dim, first):
        super().__init__()
        self.first = first
        self.self_attn = Attention(dim)
        self.cross_attn_token_to_image = Attention(dim, 2)
        self.mlp = Mlp(dim, 2048, dim)
        self.cross_attn_image_to_token = Attention(dim, 2)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(dim) for _ in range(4))

    def forward(self, tokens, image, token_pe, image_pe):
        if self.first:  # the tokens are their own position code here, and there is no shortcut
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pe
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        k = image + image_pe
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_pe, k, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(k, tokens + token_pe, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(dim, first=i == 0) for i in range(2))
        self.final_attn_token_to_image = Attention(dim, 2)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, source: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(n, C, h, w), (1, C, h, w), (n, t, C) to tokens (n, t, C) and image (n, h * w, C)."""
        image, image_pe = source.flatten(2).transpose(1, 2), image_pe.flatten(2).transpose(1, 2)
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        final = self.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        return self.norm_final_attn(tokens + final), image


class PositionCode(nn.Module):
    """Random Fourier features of coordinates in 0..1."""

    def __init__(self, dim):
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, dim // 2))

    def forward(self, coordinates: Tensor) -> Tensor:
        angle = 2 * math.pi * ((2 * coordinates - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angle.sin(), angle.cos()], -1)


class PromptEncoder(nn.Module):
    def __init__(self, dim, image_size):
        super().__init__()
        self.image_size, self.grid = image_size, image_size // 16
        self.pe_layer = PositionCode(dim)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.no_mask_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, 2), LayerNorm2d(4), nn.GELU(),
            nn.Conv2d(4, 16, 2, 2), LayerNorm2d(16), nn.GELU(), nn.Conv2d(16, dim, 1),
        )

    def dense_pe(self) -> Tensor:
        """Position code of the stride-16 grid, 1 x C x h x w."""
        centre = (torch.arange(self.grid) + 0.5) / self.grid
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        return self.pe_layer(torch.stack([x, y], -1)).permute(2, 0, 1)[None]

    def points(self, points: Tensor, labels: Tensor) -> Tensor:
        """(n, p, 2) points in network pixels and (n, p) labels to (n, p + 1, C) tokens, padding point last."""
        code = self.pe_layer((points + 0.5) / self.image_size)
        table = torch.cat([e.weight for e in self.point_embeddings])
        nothing = self.not_a_point_embed.weight
        tokens = torch.where(labels[..., None] < 0, nothing, code + table[labels.clamp(min=0)])
        return torch.cat([tokens, nothing.expand(len(points), 1, -1)], 1)

    def dense(self, masks: Tensor | None, count: int) -> Tensor:
        """(n, 1, 4h, 4w) masks, or none, to (n, C, h, w)."""
        if masks is None:
            return self.no_mask_embed.weight[..., None, None].expand(count, -1, self.grid, self.grid)
        return self.mask_downscaling(masks)


class MaskEncoder(nn.Module):
    """SAMTok's addition: one learned token that reads the mask."""

    def __init__(self, dim):
        super().__init__()
        self.transformer = TwoWayTransformer(dim)
        self.mask_tokens = nn.Embedding(1, dim)

    def forward(self, source: Tensor, image_pe: Tensor, sparse: Tensor) -> Tensor:
        tokens = torch.cat([self.mask_tokens.weight.expand(len(sparse), -1, -1), sparse], 1)
        return self.transformer(source, image_pe, tokens)[0][:, 0]


class MaskDecoder(nn.Module):
    """SAM 2's: four masks (the first for an unambiguous prompt), their predicted IoU and the object score."""

    def __init__(self, dim):
        super().__init__()
        self.transformer = TwoWayTransformer(dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(4, dim)
        self.obj_score_token = nn.Embedding(1, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, 2), LayerNorm2d(dim // 4), nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2), nn.GELU(),
        )
        self.conv_s0 = nn.Conv2d(dim, dim // 8, 1)
        self.conv_s1 = nn.Conv2d(dim, dim // 4, 1)
        self.output_hypernetworks_mlps = nn.ModuleList(Mlp(dim, dim, dim, dim // 8) for _ in range(4))
        self.iou_prediction_head = Mlp(dim, 256, 256, 4)
        self.pred_obj_score_head = Mlp(dim, dim, dim, 1)

    def forward(self, source, image_pe, sparse, feat0, feat1):
        n, _, h, w = source.shape
        own = torch.cat([self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(n, -1, -1), sparse], 1)
        tokens, image = self.transformer(source, image_pe, tokens)
        up1, norm, gelu, up2, _ = self.output_upscaling
        image = gelu(norm(up1(image.transpose(1, 2).reshape(n, -1, h, w)) + feat1))
        image = gelu(up2(image) + feat0)
        kernels = torch.stack([mlp(tokens[:, 2 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], 1)
        masks = (kernels @ image.flatten(2)).view(n, 4, *image.shape[2:])
        return masks, self.iou_prediction_head(tokens[:, 1]).sigmoid(), self.pred_obj_score_head(tokens[:, 0])


class Quantizer(nn.Module):
    """Two-step residual vector quantization; the last row of each table is padding."""

    def __init__(self, c):
        super().__init__()
        rows, dim = c["codebook_size"], c["latent_dim"]
        self.codebooks = nn.ModuleList(nn.Embedding(rows + 1, dim) for _ in range(c["codebook_depth"]))

    def encode(self, embeddings: Tensor) -> Tensor:
        residual, codes = embeddings, []
        for book in self.codebooks:
            codes.append((residual[:, None] - book.weight[:-1]).square().sum(-1).argmin(1))
            residual = residual - book.weight[codes[-1]]
        return torch.stack(codes, 1)

    def decode(self, codes: Tensor) -> Tensor:
        return sum(book.weight[codes[:, d]] for d, book in enumerate(self.codebooks))


class SamTok(nn.Module):
    """Image, masks and codes; attribute names are the published ones without `model.sam2_model.`."""

    def __init__(self, config):
        super().__init__()
        dim = config["neck"]["d_model"]
        self.image_size = config["image_size"]
        self.image_encoder = ImageEncoder(config)
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, dim))
        self.sam_prompt_encoder = PromptEncoder(dim, self.image_size)
        self.sam_mask_encoder = MaskEncoder(dim)
        self.sam_mask_decoder = MaskDecoder(dim)
        self.quantizer = Quantizer(config["quantizer"])

    def encode_image(self, pixels: Tensor) -> dict[str, Tensor]:
        """(1, 3, S, S) normalized pixels to all that the heads need of one image."""
        level0, level1, level2 = self.image_encoder(pixels)
        return {
            "feat0": self.sam_mask_decoder.conv_s0(level0),
            "feat1": self.sam_mask_decoder.conv_s1(level1),
            "feat2": level2,
            "source": level2 + self.no_mem_embed.view(1, -1, 1, 1),
            "dense_pe": self.sam_prompt_encoder.dense_pe(),
        }

    def encode_masks(self, image: dict[str, Tensor], masks: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, S/4, S/4) masks in 0..1 and (n, 4) boxes in 0..1 to (n, C) embeddings and (n, 2) codes."""
        corners = (boxes * self.image_size).view(-1, 2, 2)
        sparse = self.sam_prompt_encoder.points(corners, torch.tensor([2, 3]).expand(len(corners), 2))
        source = image["source"] + self.sam_prompt_encoder.dense(masks, len(masks))
        embeddings = self.sam_mask_encoder(source, image["dense_pe"], sparse)
        return embeddings, self.quantizer.encode(embeddings)

    def decode_codes(self, image: dict[str, Tensor], codes: Tensor):
        """(n, 2) codes to (n, S/4, S/4) logits of the best mask, (n, 3, ..) logits, IoUs and object scores."""
        prompt, n = self.sam_prompt_encoder, len(codes)
        padding = prompt.not_a_point_embed.weight.expand(n, 2, -1)
        sparse = torch.cat([padding, self.quantizer.decode(codes)[:, None]], 1)
        masks, ious, score = self.decode(image, prompt.dense(None, n), sparse)
        masks, ious = masks[:, 1:], ious[:, 1:]
        return masks[torch.arange(n), ious.argmax(1)], masks, ious, score

    def decode(self, image: dict[str, Tensor], dense: Tensor, sparse: Tensor):
        source, pe = image["source"] + dense, image["dense_pe"]
        return self.sam_mask_decoder(source, pe, sparse, image["feat0"], image["feat1"])


# ------------------------------------------------------------------------------------------------ weights

PREFIX = "model.sam2_model."


def published_name(name: str) -> str:
    return name if name.startswith("quantizer.") else PREFIX + name


def generated_tensor(name: str, shape) -> Tensor:
    """The value that the test data's generator gives a float tensor (`samtok model generate` writes the same)."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    weight, few = name.endswith("weight"), shape[0] <= 8
    if name.endswith("positional_encoding_gaussian_matrix"):
        u *= 1.7320508
    elif "codebooks" in name and weight:
        pass
    elif len(shape) >= 2 and weight and few and ("embed" in name or "token" in name and len(shape) == 2):
        pass
    elif len(shape) >= 2:
        u *= math.sqrt(3 / math.prod(shape[1:])) if weight else 0.2
    elif weight or name.endswith("gamma"):
        u = 1 + 0.1 * u
    else:
        u *= 0.05
    return torch.from_numpy(u.astype(np.float32)).view(*shape)


def generated_state(model: nn.Module) -> dict[str, Tensor]:
    """Generated weights under the published names."""
    names = ((published_name(k), v) for k, v in model.state_dict().items())
    return {name: generated_tensor(name, tuple(value.shape)) for name, value in names}


def load_state(model: nn.Module, state: dict[str, Tensor], **options) -> None:
    """Loads published names; tensors of parts that are not here (video memory) are ignored."""
    state = state.get("model", state.get("state_dict", state))
    state = {k.removeprefix("hf_model.").removeprefix(PREFIX): v for k, v in state.items()}
    missing = model.load_state_dict(state, strict=False, **options).missing_keys
    if missing:
        sys.exit(f"error: the weights lack {len(missing)} tensors, first {missing[0]}")


# -------------------------------------------------------------------------------------------------- bench


def read_config(text: str) -> dict:
    if text in PRESETS:
        return PRESETS[text]
    return json.loads(Path(text).read_text())


def peak_memory() -> int:
    """Peak resident bytes of this process (ru_maxrss would include that of the process which started it)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def timed(function, repeats: int) -> list[float]:
    """Milliseconds of each call after one warm-up call."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def square_masks(count: int, size: int) -> tuple[Tensor, Tensor]:
    """Distinct squares as prompts for `size` x `size` masks, and their boxes in 0..1."""
    masks, boxes = torch.zeros(count, 1, size, size), []
    for i in range(count):
        x, y = (size * a // 8 for a in (1 + i % 4, 1 + i // 4 % 4))
        masks[i, 0, y:y + size // 4, x:x + size // 4] = 1
        boxes.append([x / size, y / size, (x + size // 4 - 1) / size, (y + size // 4 - 1) / size])
    return masks, torch.tensor(boxes)


def load_model(config: dict, weights: Path, frugal: bool) -> SamTok:
    """As published (build, load, copy), or `frugal`: file mapped and tensors adopted without a copy."""
    if not frugal:
        model = SamTok(config)
        load_state(model, torch.load(weights, map_location="cpu", weights_only=True))
    else:
        with torch.device("meta"):
            model = SamTok(config)
        load_state(model, torch.load(weights, mmap=True, weights_only=True), assign=True)
    return model.eval()


def memory_run(config: dict, weights: Path, frugal: bool) -> dict:
    """One `encode`: load the weights, one image, one mask. Run it in a process of its own."""
    start = time.perf_counter()
    model = load_model(config, weights, frugal)
    load = 1e3 * (time.perf_counter() - start)
    size = model.image_size
    image = model.encode_image(torch.randn(1, 3, size, size))
    model.encode_masks(image, *square_masks(1, size // 4))
    return {"load_ms": load, "peak_memory_bytes": peak_memory()}


def memory_of_fresh_process(arguments, weights: Path, frugal: bool) -> dict:
    command = [sys.executable, __file__, "--preset", arguments.preset, "--threads", str(arguments.threads),
               "--weights", str(weights), "--memory-run", "frugal" if frugal else "published"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def network_calls(model: SamTok) -> dict:
    """What is timed: image in, features out; 256x256 masks in, codes out; codes in, 256x256 logits out."""
    size, depth = model.image_size, len(model.quantizer.codebooks)
    pixels = torch.randn(1, 3, size, size)
    image = {}
    masks, boxes = square_masks(16, size // 4)
    codes = torch.arange(16 * depth).view(16, depth) % (len(model.quantizer.codebooks[0].weight) - 1)

    def embedding():
        # Timings of the heads do not depend on values, so noise spares the wait for an image encode.
        if not image:
            dim, grid = model.no_mem_embed.shape[2], size // 16
            shapes = {"feat0": (dim // 8, 4 * grid), "feat1": (dim // 4, 2 * grid), "source": (dim, grid)}
            image.update({k: torch.randn(1, c, g, g) for k, (c, g) in shapes.items()})
            image["dense_pe"] = model.sam_prompt_encoder.dense_pe()
        return image

    calls = {"image_encode": lambda: model.encode_image(pixels)}
    for n in (1, 16):
        calls[f"mask_encode_{n}"] = lambda n=n: model.encode_masks(embedding(), masks[:n], boxes[:n])
        calls[f"mask_decode_{n}"] = lambda n=n: model.decode_codes(embedding(), codes[:n])
    return calls


def transformers_calls(config: dict) -> dict:
    """The same quantities of `transformers`' Sam2Model (a box prompt stands for a code: as many tokens)."""
    from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

    trunk, neck, size = config["trunk"], config["neck"], config["image_size"]
    if neck["d_model"] != 256 or size != 1024:
        sys.exit("error: --peer transformers knows the published 1024 px sizes only")
    dim, heads = trunk["embed_dim"], trunk["num_heads"]
    backbone = Sam2HieraDetConfig(
        hidden_size=dim, num_attention_heads=heads, blocks_per_stage=trunk["stages"],
        embed_dim_per_stage=[dim << i for i in range(4)],
        num_attention_heads_per_stage=[heads << i for i in range(4)],
        window_positional_embedding_background_size=trunk["window_pos_embed_bkg_spatial_size"],
        window_size_per_stage=trunk["window_spec"], global_attention_blocks=trunk["global_att_blocks"],
    )
    vision = Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=neck["backbone_channel_list"])
    model = Sam2Model(Sam2Config(vision_config=vision)).eval()
    pixels = torch.randn(1, 3, size, size)
    features = [torch.randn(1, c, g, g) for c, g in ((32, 256), (64, 128), (256, 64))]
    boxes = square_masks(16, size)[1][None] * size
    calls = {"image_encode": lambda: model.get_image_embeddings(pixels)}
    for n in (1, 16):
        calls[f"mask_decode_{n}"] = lambda n=n: model(
            image_embeddings=features, input_boxes=boxes[:, :n], multimask_output=True)
    return calls


def bench(arguments) -> dict:
    config = read_config(arguments.preset)
    wanted = set(arguments.only.split(",")) if arguments.only else None
    result = {"program": "torch", "torch": torch.__version__, "threads": torch.get_num_threads(),
              "preset": arguments.preset, "image_size": config["image_size"], "repeats": arguments.repeats,
              "timings_ms": {}, "medians_ms": {}}
    if arguments.peer == "transformers":
        import transformers

        result |= {"program": "transformers", "transformers": transformers.__version__}
        calls = transformers_calls(config)
    else:
        model = SamTok(config).eval()
        load_state(model, generated_state(model))
        result["parameters"] = sum(p.numel() for p in model.parameters())
        if wanted is None or "memory" in wanted:
            with tempfile.TemporaryDirectory() as folder:
                weights = Path(folder) / "weights.pth"
                torch.save({published_name(k): v for k, v in model.state_dict().items()}, weights)
                result["weights_bytes"] = weights.stat().st_size
                runs = [memory_of_fresh_process(arguments, weights, frugal) for frugal in (False, True)]
            result["timings_ms"]["load"] = result["medians_ms"]["load"] = runs[0]["load_ms"]
            result["peak_memory_bytes"], result["peak_memory_frugal_bytes"] = (r["peak_memory_bytes"] for r in runs)
        calls = network_calls(model)
    for name, call in calls.items():
        if wanted is None or name in wanted:
            # The heads take milliseconds, so they are repeated more often against noise.
            repeats = arguments.repeats if name == "image_encode" else max(arguments.repeats, 5)
            times = timed(call, repeats)
            result["timings_ms"][name], result["medians_ms"][name] = min(times), statistics.median(times)
    return result


# ------------------------------------------------------------------------------------------------- parity


class Parity:
    """Largest absolute error of each tensor relative to the largest golden value."""

    def __init__(self, golden: dict[str, Tensor]):
        self.golden, self.errors, self.failed = golden, {}, []

    def check(self, name: str, ours: Tensor, tolerance=1e-3) -> None:
        if name in self.golden:
            theirs = self.golden[name].double()
            error = ((ours.double().view(theirs.shape) - theirs).abs().max() / theirs.abs().max()).item()
            self.errors[name] = error
            if not error <= tolerance:
                self.failed.append(name)

    def sampled(self, name: str, ours: Tensor) -> None:
        """Compares the whole tensor, or every (numel / 4096)-th element and the norm."""
        self.check(name, ours)
        self.check(f"{name}.norm", ours.norm()[None])
        self.check(f"{name}.sample", ours.reshape(-1)[:: max(1, ours.numel() // 4096)][:4096])

    def equal(self, name: str, wrong: int) -> None:
        self.errors[name] = wrong
        if wrong:
            self.failed.append(name)


class Recorder:
    """Keeps the output of every module, and the input of the transformers, while `prefix` is set."""

    def __init__(self, model: nn.Module):
        self.tensors, self.prefix = {}, None
        for name, module in model.named_modules():
            module.register_forward_hook(lambda _m, _i, output, name=name: self.record(name, output))
            if isinstance(module, TwoWayTransformer):
                module.register_forward_pre_hook(lambda _m, inputs, name=name: self.record(f"{name}.input", inputs))

    def record(self, name, output):
        if self.prefix is not None:
            outputs = output if isinstance(output, (tuple, list)) else [output]
            for i, tensor in enumerate(outputs):
                key = f"{self.prefix}.{name}" + (f".{i}" if len(outputs) > 1 else "")
                self.tensors[key] = tensor.clone().contiguous()


def parity(folder: Path, dump: Path | None) -> dict:
    """Runs the golden cases of `folder` (config.json, cases.json, cases.safetensors, perhaps a .pth, prompts)."""
    from PIL import Image
    from safetensors.torch import load_file, save_file

    config = json.loads((folder / "config.json").read_text())
    golden = load_file(folder / "cases.safetensors")
    cases = json.loads((folder / "cases.json").read_text())["cases"]
    model = SamTok(config).eval()
    state = generated_state(model)
    state.update({k: v for k, v in golden.items() if k.startswith("quantizer.")})
    result = {"golden": str(folder), "torch": torch.__version__}
    for published in folder.glob("*.pth"):
        saved = torch.load(published, map_location="cpu", weights_only=True)
        result["generated_differs_from_pth"] = [k for k, v in state.items() if not torch.equal(saved[k], v)]
        state = saved
    load_state(model, state)
    recorder, check = Recorder(model), Parity(golden)
    size, side = model.image_size, model.image_size // 4
    if "trunk.pos_embed" in golden:
        check.check("trunk.pos_embed", model.image_encoder.trunk.position(side, side))
        check.check("prompt.dense_pe", model.sam_prompt_encoder.dense_pe())
    trunk, neck = model.image_encoder.trunk, model.image_encoder.neck
    stages, levels = [], []
    trunk.register_forward_hook(lambda _m, _i, output: stages.append(output))
    neck.register_forward_hook(lambda _m, _i, output: levels.append(output))
    for case in cases:
        i, h, w = f"image{case['image']}", case["height"], case["width"]
        record = dump is not None and case["image"] == 0
        resized = np.asarray(Image.fromarray(golden[f"{i}.rgb"].numpy()).resize((size, size)))
        if f"{i}.resized" in golden:
            check.equal(f"{i}.resized", int((resized != golden[f"{i}.resized"].numpy()).sum()))
        pixels = torch.from_numpy(resized.copy()).permute(2, 0, 1)[None] / 255
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        pixels = (pixels - mean) / std
        check.check(f"{i}.pixels", pixels)
        recorder.prefix = i if record else None
        image = model.encode_image(pixels)
        for s, tensor in enumerate(stages[-1]):
            check.sampled(f"{i}.trunk.stage{s}", tensor)
        for s, tensor in enumerate(levels[-1]):
            check.sampled(f"{i}.neck.level{s}", tensor)
        for s in range(3):
            check.sampled(f"{i}.feat{s}", image[f"feat{s}"])
        codes, margins = golden[f"{i}.codes"], golden[f"{i}.code_margin"]
        for k in range(case["masks"]):
            mask = golden[f"{i}.mask{k}"]
            if mask.dim() == 1:
                mask = torch.from_numpy(np.unpackbits(mask.numpy())[: h * w].reshape(h, w))
            prompt = F.interpolate(mask[None, None].float(), size=(side, side), mode="bilinear", antialias=True)
            ys, xs = torch.nonzero(mask, as_tuple=True)
            box = torch.tensor([[xs.min() / w, ys.min() / h, xs.max() / w, ys.max() / h]])
            check.check(f"{i}.mask{k}.prompt", prompt)
            check.check(f"{i}.mask{k}.box", box)
            recorder.prefix = f"{i}.mask{k}" if record and k == 0 else None
            embedding, code = model.encode_masks(image, prompt, box)
            check.check(f"{i}.mask{k}.embed", embedding)
            # A narrow margin excuses a different code, and every code after it.
            sure = (margins[k] > 0.02).cumprod(0).bool()
            check.equal(f"{i}.mask{k}.code", int(((code[0] != codes[k]) & sure).sum()))
        for k, code in enumerate(case.get("decode_codes", case["codes"])):
            recorder.prefix = f"{i}.decode{k}" if record and k == 0 else None
            # The golden data decode a missing code (-1) as code 0, as the published program does.
            best, logits, ious, score = model.decode_codes(image, torch.tensor([code]).clamp(min=0))
            recorder.prefix = None
            for name, tensor in (("best", best), ("logits", logits), ("ious", ious), ("object_score", score)):
                check.check(f"{i}.decode{k}.{name}", tensor)
            if f"{i}.decode{k}.mask_packed" in golden:
                full = F.interpolate(best[None], size=(h, w), mode="bilinear")[0, 0]
                bits = np.unpackbits(golden[f"{i}.decode{k}.mask_packed"].numpy())[: h * w].reshape(h, w)
                far = (full - 0.5).abs() > 1e-3
                check.equal(f"{i}.decode{k}.mask", int(((full > 0.5) & far).ne(torch.from_numpy(bits) & far).sum()))
        if (folder / "prompts.safetensors").exists():
            prompts = load_file(folder / "prompts.safetensors")
            check.golden = prompts
            prompt_parity(model, image, prompts, i, (w, h), check)
            check.golden = golden
    if dump is not None:
        save_file(recorder.tensors, dump)
        result["dumped"] = len(recorder.tensors)
    groups = {}
    for name, error in check.errors.items():
        group = ".".join(part.rstrip("0123456789") if part[:5] != "stage" else part for part in name.split("."))
        groups[group] = max(error, groups.get(group, 0))
    return result | {"compared": len(check.errors), "failed": check.failed, "largest_error": groups}


def prompt_parity(model, image, prompts, i, native, check) -> None:
    """Clicks, boxes and earlier logits on one image embedding."""
    encoder, scale = model.sam_prompt_encoder, model.image_size / torch.tensor(native)
    k = 0
    while f"{i}.prompt{k}.points" in prompts:
        p = f"{i}.prompt{k}"
        points, labels = prompts[f"{p}.points"], prompts[f"{p}.labels"]
        if f"{p}.box" in prompts:
            points = torch.cat([prompts[f"{p}.box"].view(2, 2), points])
            labels = torch.cat([torch.tensor([2, 3]), labels])
        previous = prompts[f"{i}.prompt0.low_res"][0][None, None] if k == 9 else None
        sparse = encoder.points((points * scale)[None], labels[None])
        masks, ious, score = model.decode(image, encoder.dense(previous, 1), sparse)
        chosen = slice(1, 4) if prompts[f"{p}.multimask"].item() else slice(0, 1)
        check.check(f"{p}.low_res", masks[0, chosen].clamp(-32, 32))
        check.check(f"{p}.ious", ious[0, chosen])
        check.check(f"{p}.object_score", score)
        k += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="hiera_l", help=f"{', '.join(PRESETS)}, or a config.json")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls after one warm-up call")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", metavar="NAMES", help="comma-separated: memory, image_encode, mask_encode_1, "
                        "mask_encode_16, mask_decode_1, mask_decode_16")
    parser.add_argument("--peer", choices=["own", "transformers"], default="own", help="which PyTorch network")
    parser.add_argument("--golden", type=Path, metavar="DIR", help="compare with golden data instead of timing")
    parser.add_argument("--dump", type=Path, metavar="FILE", help="with --golden: intermediate tensors of image 0")
    parser.add_argument("--write-weights", type=Path, metavar="FILE", help="torch.save the generated weights and stop")
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--memory-run", choices=["published", "frugal"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with torch.inference_mode():
        if arguments.memory_run:
            frugal = arguments.memory_run == "frugal"
            result = memory_run(read_config(arguments.preset), arguments.weights, frugal)
        elif arguments.golden:
            result = parity(arguments.golden, arguments.dump)
        elif arguments.write_weights:
            state = generated_state(SamTok(read_config(arguments.preset)))
            torch.save(state, arguments.write_weights)
            result = {"written": str(arguments.write_weights), "bytes": os.path.getsize(arguments.write_weights)}
        else:
            result = bench(arguments)
    print(json.dumps(result, indent=2))
    sys.exit(1 if result.get("failed") else 0)


if __name__ == "__main__":
    main()
