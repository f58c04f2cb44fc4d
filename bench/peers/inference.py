"""Runs a peer's network when told to: the Python side of bench/inference.ts.

Reads lines `ENGINE MODEL` (ENGINE: torch, torch-channels-last, openvino) and answers each with one run's milliseconds.
`torch …` engines build effdet's model; `openvino` reads FOLDER/effdet-MODEL.onnx.
"""
import sys
import time

import numpy as np
import torch

folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
sizes = {"d0": 512, "d2": 768, "lite0": 320}
ready = {}


def build(engine, name):
    size = sizes[name]
    image = np.random.default_rng(0).standard_normal((1, 3, size, size), dtype=np.float32)
    if engine == "openvino":
        import openvino

        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        request = core.compile_model(f"{folder}/effdet-{name}.onnx", "CPU", settings).create_infer_request()
        return lambda: request.infer([image])
    from effdet import create_model

    model = create_model(f"tf_efficientdet_{name}", bench_task="", pretrained=False, pretrained_backbone=False).eval()
    x = torch.from_numpy(image)
    if engine == "torch-channels-last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            model(x)

    return run


print("ready", flush=True)
for line in sys.stdin:
    engine, name = line.split()
    run = ready.get((engine, name))
    if run is None:
        run = ready[(engine, name)] = build(engine, name)
        run()
    start = time.perf_counter()
    run()
    print((time.perf_counter() - start) * 1000, flush=True)
