"""Writes test/fixtures/eval/tide-cases.json.gz: what tidecv says about random problems (AP and costs in percent).

Run: python tide_cases.py (see requirements.txt)
"""

import gzip
import json
import os
from importlib.metadata import version

from tidecv import TIDE, Data

from random_cases import case


def answers(problem):
    truth, found = Data("truth"), Data("found")
    for image in problem["images"]:
        truth.add_image(image, str(image))
    for c in problem["categories"]:
        truth.add_class(c, str(c))
    for a in problem["annotations"]:
        (truth.add_ignore_region if a[8] else truth.add_ground_truth)(a[1], a[2], a[3:7])
    for d in problem["results"]:
        found.add_detection(d[0], d[1], d[6], d[2:6])
    tide = TIDE()
    run = tide.evaluate(truth, found, mode=TIDE.BOX)
    main = {error.short_name: value for error, value in run.fix_main_errors().items()}
    special = {error.short_name: value for error, value in run.fix_special_errors().items()}
    counts = {error.short_name: len(run.error_dict[error]) for error in TIDE._error_types}
    return {"ap": run.ap, "main": main, "special": special, "counts": counts}


def main():
    cases = []
    for kind, count in {"plain": 20, "crowd": 15, "crowded": 10, "equal-scores": 5, "truncated": 4}.items():
        for seed in range(count):
            problem = {**case(2000 + seed, kind), "options": {}}
            if problem["annotations"] and problem["results"]:
                cases.append({**problem, "expected": answers(problem)})
    text = json.dumps({"madeBy": f"tidecv {version('tidecv')}", "cases": cases}, separators=(",", ":"))
    path = os.path.join(os.path.dirname(__file__), "../../../test/fixtures/eval/tide-cases.json.gz")
    with open(path, "wb") as f:
        f.write(gzip.compress(text.encode(), 9, mtime=0))
    print(len(cases), "cases", os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
