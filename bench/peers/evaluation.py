"""The other evaluators on the files that bench/evaluation.ts makes, one timed run per line of input.

Reads lines `pycocotools|faster-coco-eval GROUND_TRUTH RESULTS` on stdin; answers each with one line of JSON: seconds
to load both files, seconds to evaluate (evaluate, accumulate, summarize), processor seconds of both together, the
twelve numbers, and the peak memory of this process so far.
"""

import contextlib
import io
import json
import resource
import sys
import time
from importlib.metadata import version


def peer(name):
    if name == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO, COCOeval
    from faster_coco_eval import COCO, COCOeval_faster

    return COCO, COCOeval_faster


def run(name, truth, results):
    COCO, Evaluation = peer(name)
    with contextlib.redirect_stdout(io.StringIO()):
        start, before = time.perf_counter(), time.process_time()
        gt = COCO(truth)
        dt = gt.loadRes(results)
        loaded = time.perf_counter()
        evaluation = Evaluation(gt, dt, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        end = time.perf_counter()
    return {
        "name": f"{name} {version(name)}",
        "load": loaded - start,
        "evaluate": end - loaded,
        "cpu": time.process_time() - before,
        "stats": [float(s) for s in evaluation.stats][:12],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


for line in sys.stdin:
    print(json.dumps(run(*line.split())), flush=True)
