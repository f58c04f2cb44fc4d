"""Writes effdet's own networks as ONNX, opset 17, as a user of effdet would: the peers of bench/inference.ts.

    python bench/peers/export_effdet.py FOLDER

Versions: bench/peers/requirements.txt. Weights are random: they do not matter for speed.
"""
import sys

import torch
from effdet import create_model

for name, size in (("d0", 512), ("d2", 768), ("lite0", 320)):
    torch.manual_seed(0)
    model = create_model(f"tf_efficientdet_{name}", bench_task="", pretrained=False, pretrained_backbone=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 4:
                fan_in = parameter[0].numel()
                parameter.normal_(0, (2 / fan_in) ** 0.5)
    torch.onnx.export(model, torch.zeros(1, 3, size, size), f"{sys.argv[1]}/effdet-{name}.onnx", opset_version=17, dynamo=False)
    print(name, "written")
