"""Random detection problems, odd ones included, from a seed: the input of every fixture in this folder."""

import random

OPTIONS = [
    {},
    {},
    {},
    {"iouThresholds": [0.3, 0.5, 0.75]},
    {"maxDetections": [1, 3, 5]},
    {"areas": {"small": [0, 400], "medium": [400, 2500], "large": [2500, 1e10]}},
    {"iouThresholds": [0.5, 1.0], "maxDetections": [2, 7, 300]},
]


def case(seed, kind):
    """One problem: rows of annotations [id, image, category, x, y, w, h, area, crowd, ignore] and of results
    [image, category, x, y, w, h, score]."""
    r = random.Random(f"{kind}-{seed}")
    grid = r.choice([1, 0.5, 8, None])

    def length(limit):
        value = r.uniform(0, limit)
        return round(value, 2) if grid is None else round(value / grid) * grid

    def box():
        side = r.choice([12, 40, 120, 300])
        w, h = length(side), length(side)
        if r.random() < 0.04:
            w = 0
        if r.random() < 0.04:
            h = 0
        return [length(200), length(200), w, h]

    def near(b):
        shift = r.choice([0, 0, 0.05, 0.15, 0.4])
        moved = [
            b[0] + r.uniform(-shift, shift) * b[2],
            b[1] + r.uniform(-shift, shift) * b[3],
            max(0, b[2] * (1 + r.uniform(-shift, shift))),
            max(0, b[3] * (1 + r.uniform(-shift, shift))),
        ]
        return [round(v, 2) if grid is None else round(v / grid) * grid for v in moved]

    def score():
        return r.choice([round(r.random(), 1), round(r.random(), 3), r.random()]) if ties else r.random()

    ties = r.random() < 0.7
    images = r.sample(range(1, 1000), r.randint(1, 7))
    categories = r.sample(range(1, 91), r.randint(1, 4))
    if kind == "empty":
        images, categories = r.choice([([], categories), (images, []), (images, categories)])
    per_image = {"crowded": 25, "thousands": 1500, "truncated": 4}.get(kind, 6)
    crowd_share = {"only-crowd": 1, "crowd": 0.4}.get(kind, 0.08)
    annotations, results = [], []
    ids = r.sample(range(1, 100000), 8000)
    if kind == "thousands":
        images, categories = images[:2], categories[:2]
    if kind != "no-truth":
        for image in images:
            for _ in range(r.randint(0, per_image)):
                if not categories:
                    continue
                b = box()
                area = r.choice([b[2] * b[3], b[2] * b[3], round(b[2] * b[3] * 0.6, 2), 1024, 9216])
                annotations.append(
                    [ids.pop(), image, r.choice(categories), *b, area,
                     int(r.random() < crowd_share), int(r.random() < 0.2)]
                )
    if kind == "id-zero" and annotations:
        r.choice(annotations)[0] = 0
    if kind != "no-results":
        for a in annotations:
            if r.random() < 0.15:
                continue
            for _ in range(r.choice([1, 1, 1, 2, 3])):
                category = a[2] if r.random() < 0.9 else r.choice(categories)
                results.append([a[1], category, *near(a[3:7]), score()])
        for image in images:
            if r.random() < 0.2:
                continue
            for _ in range(r.randint(0, {"truncated": 260, "thousands": 800}.get(kind, 6))):
                if categories:
                    results.append([image, r.choice(categories), *box(), score()])
        if kind == "equal-scores":
            for row in results:
                row[6] = 0.5
        if kind == "unknown":
            for _ in range(5):
                results.append([r.randint(2000, 3000), r.choice(categories), *box(), score()])
                results.append([r.choice(images), r.randint(100, 120), *box(), score()])
    r.shuffle(annotations)
    r.shuffle(results)
    options = dict(r.choice(OPTIONS))
    if kind == "ignore":
        options["useIgnore"] = True
    return {
        "name": f"{kind} {seed}",
        "images": images,
        "categories": categories,
        "annotations": annotations,
        "results": results,
        "options": options,
    }


KINDS = {
    "plain": 120, "crowd": 50, "ignore": 50, "crowded": 40, "equal-scores": 25, "only-crowd": 15, "no-truth": 8,
    "no-results": 8, "empty": 8, "truncated": 12, "unknown": 15, "id-zero": 15, "thousands": 2,
}


def all_cases():
    return [case(seed, kind) for kind, count in KINDS.items() for seed in range(count)]


def dataset(problem):
    """The problem as a COCO data set and COCO results."""
    truth = {
        "info": {},
        "images": [{"id": i} for i in problem["images"]],
        "categories": [{"id": c, "name": f"class {c}"} for c in problem["categories"]],
        "annotations": [
            {"id": a[0], "image_id": a[1], "category_id": a[2], "bbox": a[3:7], "area": a[7], "iscrowd": a[8], "ignore": a[9]}
            for a in problem["annotations"]
        ],
    }
    results = [
        {"image_id": d[0], "category_id": d[1], "bbox": d[2:6], "score": d[6]} for d in problem["results"]
    ]
    return truth, results
