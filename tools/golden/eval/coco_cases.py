"""Writes test/fixtures/eval/coco-cases.json.gz: random problems with pycocotools' answers.

Of the big arrays (precision [T, R, K, A, M], recall, scores) only the SHA-256 of their float64 bytes is kept: they are
to agree to the last bit. Run: python coco_cases.py (see requirements.txt)
"""

import contextlib
import copy
import gzip
import hashlib
import io
import json
import os
from importlib.metadata import version

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from random_cases import all_cases, dataset


class Evaluation(COCOeval):
    """COCOeval that can keep the `ignore` marks of the ground truth (its own _prepare overwrites them)."""

    use_ignore = False

    def _prepare(self):
        marks = {a["id"]: a.get("ignore", 0) for a in self.cocoGt.dataset["annotations"]}
        super()._prepare()
        if self.use_ignore:
            for rows in self._gts.values():
                for a in rows:
                    a["ignore"] = int(bool(a["iscrowd"] or marks[a["id"]]))


def load(truth):
    coco = COCO()
    coco.dataset = truth
    coco.createIndex()
    return coco


def answers(problem):
    truth, results = dataset(problem)
    known = {i["id"] for i in truth["images"]}
    # loadRes refuses pictures that the ground truth lacks, and an empty list; the product leaves such rows out.
    results = [d for d in results if d["image_id"] in known]
    gt = load(copy.deepcopy(truth))
    if results:
        dt = gt.loadRes(results)
    else:
        dt = load({"images": truth["images"], "categories": truth["categories"], "annotations": []})
    evaluation = Evaluation(gt, dt, "bbox")
    options = problem["options"]
    evaluation.use_ignore = options.get("useIgnore", False)
    p = evaluation.params
    if "iouThresholds" in options:
        p.iouThrs = np.array(options["iouThresholds"])
    if "maxDetections" in options:
        p.maxDets = options["maxDetections"]
    if "areas" in options:
        p.areaRng = [[0, 1e10]] + list(options["areas"].values())
        p.areaRngLbl = ["all"] + list(options["areas"])
    if not problem["categories"]:
        return {"stats": [-1] * 12, "perClass": []}
    evaluation.evaluate()
    evaluation.accumulate()
    e = evaluation.eval
    last = len(p.maxDets) - 1

    def mean(values):
        values = values[values > -1]
        return float(np.mean(values)) if values.size else -1

    stats = None
    if p.maxDets[-1] == 100:
        evaluation.summarize()
        stats = [float(v) for v in evaluation.stats]
    per_class = [
        [mean(e["precision"][:, :, k, 0, last]), mean(e["recall"][:, k, 0, last])] for k in range(len(p.catIds))
    ]
    digest = {n: hashlib.sha256(np.ascontiguousarray(e[n]).astype("<f8").tobytes()).hexdigest()[:16]
              for n in ("precision", "recall", "scores")}
    return {
        "stats": stats,
        "AP": mean(e["precision"][:, :, :, 0, last]),
        "AR": mean(e["recall"][:, :, 0, last]),
        "perClass": per_class,
        "digest": digest,
    }


def main():
    out = []
    with contextlib.redirect_stdout(io.StringIO()):
        for problem in all_cases():
            out.append({**problem, "expected": answers(problem)})
    text = json.dumps(
        {"madeBy": f"pycocotools {version('pycocotools')}, numpy {np.__version__}", "cases": out},
        separators=(",", ":"),
    )
    path = os.path.join(os.path.dirname(__file__), "../../../test/fixtures/eval/coco-cases.json.gz")
    with open(path, "wb") as f:
        f.write(gzip.compress(text.encode(), 9, mtime=0))
    print(len(out), "cases,", len(text), "bytes,", os.path.getsize(path), "packed")


if __name__ == "__main__":
    main()
