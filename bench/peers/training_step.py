"""Takes training steps of effdet when told to: the Python side of bench/training-step.ts.

    python training_step.py MODEL BATCH SIZE ENGINE MODE THREADS

ENGINE: eager, channels-last, compile (with channels_last). MODE: batch, frozen (stored statistics),
fine-tune (the stem and the first two stages frozen with their statistics, the others by the batch's).
A step: forward, loss, backward, clipping of the norm at 10, SGD with momentum 0.9 and weight decay, moving average of
the weights. Anchors are matched beforehand, as effdet's loader does. Writes `ready SECONDS`; answers each line `step`
with milliseconds and loss, `peak` with the process's peak memory in MB.
"""
import resource
import sys
import time

import numpy as np
import torch
from effdet import create_model
from effdet.anchors import AnchorLabeler, Anchors
from timm.utils import ModelEmaV2

name, batch, size, engine, mode, threads = sys.argv[1:7]
batch, size = int(batch), int(size)
torch.set_num_threads(int(threads))
torch.manual_seed(0)

started = time.perf_counter()
bench = create_model(
    f"tf_efficientdet_{name}", bench_task="train", num_classes=3, pretrained=False, pretrained_backbone=False,
    image_size=(size, size), bench_labeler=False,
).train()
model = bench.model
labeler = AnchorLabeler(Anchors.from_config(model.config), 3, match_threshold=0.5)


def freeze(module):
    for m in module.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eval()


if mode == "frozen":
    freeze(bench)
if mode == "fine-tune":
    backbone = model.backbone
    for part in (backbone.conv_stem, backbone.bn1, backbone.blocks[0], backbone.blocks[1]):
        freeze(part)
        part.requires_grad_(False)

generator = np.random.default_rng(0)
images = torch.from_numpy(generator.standard_normal((batch, 3, size, size), dtype=np.float32))
if engine != "eager":
    bench = bench.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
corners = generator.random((batch, 10, 2)) * 0.7
sides = 0.1 + generator.random((batch, 10, 2)) * 0.2
boxes = torch.from_numpy(np.concatenate([corners, corners + sides], 2).astype(np.float32) * size)
classes = torch.from_numpy(generator.integers(1, 4, (batch, 10)).astype(np.float32))
cls, box, positives = labeler.batch_label_anchors(boxes, classes)
target = {"label_num_positives": positives}
for i, (c, b) in enumerate(zip(cls, box)):
    target[f"label_cls_{i}"], target[f"label_bbox_{i}"] = c, b

decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
optimiser = torch.optim.SGD(
    [{"params": decayed, "weight_decay": 4e-5}, {"params": others, "weight_decay": 0}], lr=0.001, momentum=0.9
)
average = ModelEmaV2(model, decay=0.9998)
run = torch.compile(bench) if engine == "compile" else bench


def step():
    optimiser.zero_grad(set_to_none=True)
    loss = run(images, target)["loss"]
    loss.backward()
    torch.nn.utils.clip_grad_norm_(decayed + others, 10.0)
    optimiser.step()
    average.update(model)
    return loss.item()


step()
print("ready", time.perf_counter() - started, flush=True)
for line in sys.stdin:
    if line.strip() == "end":
        break
    if line.strip() == "peak":
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
        continue
    start = time.perf_counter()
    loss = step()
    print((time.perf_counter() - start) * 1000, loss, flush=True)
