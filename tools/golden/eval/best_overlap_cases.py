"""Writes test/fixtures/eval/best-overlap-cases.json.gz: random problems with the answers of TensorFlow's own
evaluation of Pascal VOC and Open Images (object_detection/utils/per_image_evaluation.py and metrics.py).

    pip download --no-deps 123-object-detection==0.1 && tar xzf 123_object_detection-0.1.tar.gz
    PYTHONPATH=123_object_detection-0.1 python best_overlap_cases.py

The eleven-point average is taken here, from that code's precision and recall, at recalls 0, 0.1 … 1.
"""

import gzip
import json
import os
import random

import numpy as np

np.float, np.bool, np.int = float, bool, int  # names that the code of 2021 still uses

from object_detection.utils import metrics, per_image_evaluation

from random_cases import case


def answers(problem, group_of_weight, threshold=0.5):
    """Average precisions per class: area, eleven points; None where the class has no objects."""
    categories = sorted(problem["categories"])
    evaluation = per_image_evaluation.PerImageEvaluation(
        num_groundtruth_classes=len(categories), matching_iou_threshold=threshold, nms_iou_threshold=1.0,
        nms_max_output_boxes=100000, group_of_weight=group_of_weight)
    scores = [[] for _ in categories]
    labels = [[] for _ in categories]
    objects = [0.0] * len(categories)

    def corners(rows, at):
        return np.array([[r[at + 1], r[at], r[at + 1] + r[at + 3], r[at] + r[at + 2]] for r in rows], float).reshape(-1, 4)

    for image in sorted(problem["images"]):
        truth = [a for a in problem["annotations"] if a[1] == image]
        found = [d for d in problem["results"] if d[0] == image]
        group = np.array([bool(a[8]) and group_of_weight > 0 for a in truth], dtype=bool)
        # Pascal VOC has no crowds; the product takes one for difficult there.
        difficult = np.array([bool(a[9] or a[8]) and not g for a, g in zip(truth, group)], dtype=bool)
        classes = np.array([categories.index(a[2]) for a in truth], dtype=int)
        for k in range(len(categories)):
            own = classes == k
            objects[k] += np.sum(own & ~difficult & ~group) + group_of_weight * np.sum(own & group)
        result = evaluation.compute_object_detection_metrics(
            detected_boxes=corners(found, 2), detected_scores=np.array([d[6] for d in found], float),
            detected_class_labels=np.array([categories.index(d[1]) for d in found], dtype=int),
            groundtruth_boxes=corners(truth, 3), groundtruth_class_labels=classes,
            groundtruth_is_difficult_list=difficult, groundtruth_is_group_of_list=group)
        for k in range(len(categories)):
            scores[k].append(result[0][k])
            labels[k].append(np.asarray(result[1][k], float))
    out = []
    for k in range(len(categories)):
        if objects[k] == 0:
            out.append(None)
            continue
        precision, recall = metrics.compute_precision_recall(
            np.concatenate(scores[k]), np.concatenate(labels[k]), objects[k])
        eleven = [max(precision[recall >= i / 10], default=0) for i in range(11)]
        out.append([float(metrics.compute_average_precision(precision, recall)), float(np.mean(eleven))])
    return out


def main():
    cases = []
    for kind, count in {"plain": 25, "crowd": 25, "ignore": 20, "crowded": 10, "only-crowd": 5, "no-results": 2}.items():
        for seed in range(count):
            problem = case(1000 + seed, kind)
            r = random.Random(seed)
            # That code drops detections without area, which Pascal VOC's own counts as wrong.
            problem["results"] = [row for row in problem["results"] if row[4] > 0 and row[5] > 0]
            for row in problem["results"]:
                row[6] = r.random()  # no ties: that code breaks them by an unstable sort
            for a in problem["annotations"]:
                if kind in ("crowd", "only-crowd"):
                    a[9] = 0
                else:
                    a[8] = 0
            problem["options"] = {}
            cases.append({**problem, "expected": {"voc": answers(problem, 0.0), "openimages": answers(problem, 1.0)}})
    text = json.dumps({"madeBy": f"123-object-detection 0.1, numpy {np.__version__}", "cases": cases}, separators=(",", ":"))
    path = os.path.join(os.path.dirname(__file__), "../../../test/fixtures/eval/best-overlap-cases.json.gz")
    with open(path, "wb") as f:
        f.write(gzip.compress(text.encode(), 9, mtime=0))
    print(len(cases), "cases", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
