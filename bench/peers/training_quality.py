"""Trains effdet's Lite0 on batches that come through stdin: the Python side of bench/training-quality.ts.

    python training_quality.py BACKBONE.safetensors OUTPUT CLASSES SIZE BATCH STEPS WARMUP RECIPE SEED THREADS

A batch: images float32 [B, 3, S, S], anchors' classes int32 [B, A] (-1 background, -2 ignored), boxes float32 [B, A, 4],
positives int32 [B]: matched by the rule of both, from the same loader, so pictures, augmentation and order are the same.

RECIPE: `effdet` (its README's: SGD with momentum 0.9, 0.09 for 64 pictures, weight decay 4e-5), `adamw` (0.001, weight
decay 0.01, the backbone at a tenth) or `adamw-4` (the same at 0.004 with batches of 4: ours but for statistics and freezing).
All: WARMUP steps of warm-up, cosine, clipping at 10, batch statistics, everything trained. Writes OUTPUT-plain.pth and
OUTPUT-average.pth (ModelEmaV3 with its warm-up).
"""
import math
import sys
import time

import numpy as np
import torch
from effdet import create_model
from safetensors.torch import load_file
from timm.utils import ModelEmaV3

weights, output, classes, size, batch, steps, warmup, recipe, seed, threads = sys.argv[1:11]
classes, size, batch, steps, warmup, seed = map(int, (classes, size, batch, steps, warmup, seed))
torch.set_num_threads(int(threads))
torch.manual_seed(seed)
bench = create_model(
    "tf_efficientdet_lite0", bench_task="train", num_classes=classes, pretrained=False, pretrained_backbone=False,
    image_size=(size, size), bench_labeler=False,
)
model = bench.model
backbone = {k.removeprefix("backbone."): v.float() for k, v in load_file(weights).items()}
missing, unknown = model.backbone.load_state_dict(backbone, strict=False)
if unknown or any(not name.endswith("num_batches_tracked") for name in missing):
    sys.exit(f"the backbone does not fit: {missing} {unknown}")
bench = bench.to(memory_format=torch.channels_last).train()

groups = []
for name, p in model.named_parameters():
    decay = (4e-5 if recipe == "effdet" else 0.01) if p.ndim > 1 else 0.0
    share = 0.1 if recipe != "effdet" and name.startswith("backbone.") else 1.0
    groups.append({"params": [p], "weight_decay": decay, "share": share})
rate = {"effdet": 0.09 * batch / 64, "adamw": 0.001, "adamw-4": 0.004}[recipe]
optimiser = torch.optim.SGD(groups, lr=rate, momentum=0.9) if recipe == "effdet" else torch.optim.AdamW(groups, lr=rate)
average = ModelEmaV3(model, decay=0.9998, use_warmup=True)
sides = [math.ceil(size / 2**level) for level in range(3, 8)]
counts = [side * side * 9 for side in sides]


def read(dtype, *shape):
    length = int(np.prod(shape)) * np.dtype(dtype).itemsize
    data = sys.stdin.buffer.read(length)
    if len(data) < length:
        sys.exit("the batches ended early")
    return torch.from_numpy(np.frombuffer(bytearray(data), dtype=dtype).reshape(shape))


spent = 0.0
for step in range(steps):
    images = read(np.float32, batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    cls = read(np.int32, batch, sum(counts)).long()
    box = read(np.float32, batch, sum(counts), 4)
    target = {"label_num_positives": read(np.int32, batch).float()}
    started = time.perf_counter()
    at = 0
    for i, (side, count) in enumerate(zip(sides, counts)):
        target[f"label_cls_{i}"] = cls[:, at : at + count].reshape(batch, side, side, 9)
        target[f"label_bbox_{i}"] = box[:, at : at + count].reshape(batch, side, side, 36)
        at += count
    factor = (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
    for group in optimiser.param_groups:
        group["lr"] = rate * factor * group["share"]
    optimiser.zero_grad(set_to_none=True)
    loss = bench(images, target)["loss"]
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    optimiser.step()
    average.update(model, step=step)
    spent += time.perf_counter() - started
    if step % 10 == 0 or step == steps - 1:
        print(f"{step} {loss.item():.4f} {spent:.1f}", flush=True)
torch.save(model.state_dict(), f"{output}-plain.pth")
torch.save(average.module.state_dict(), f"{output}-average.pth")
print(f"done {spent:.1f}", flush=True)
