"""Weights that a rule makes, the same bits as src/testing/rule.ts (gains of lite0 for the tiny networks)."""
import json
import math
import os
import re

import numpy as np

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../../test/fixtures/weights')
GAINS = [
    (r'^backbone\.conv_stem\.', 2.5), (r'^backbone\..*\.se\.', 1.5), (r'^backbone\..*\.conv_dw\.', 2.5),
    (r'^backbone\..*\.conv_pwl\.', 2.5), (r'^backbone\.blocks\.0\..*\.conv_pw\.', 2.5), (r'^backbone\..*\.conv_pw\.', 2.2),
    (r'^fpn\..*\.conv\.conv\.', 2.0), (r'^fpn\.', 1.86), (r'_net\.conv_rep\.', 1.9), (r'_net\.predict\.', 3.5),
]


def fnv1a(text):
    h = 0x811c9dc5
    for b in text.encode():
        h = (h ^ b) * 0x01000193 & 0xffffffff
    return h


def draws(name, count):
    a, out = fnv1a(name), []
    for _ in range(count):
        a = (a + 0x6d2b79f5) & 0xffffffff
        t = (a ^ a >> 15) * (a | 1) & 0xffffffff
        t ^= (t + ((t ^ t >> 7) * (t | 61) & 0xffffffff)) & 0xffffffff
        out.append(t ^ t >> 14)
    return out


def fill(name, shape, prefix=''):
    """float32 array of a state-dict entry; an int64 zero for num_batches_tracked."""
    if name.endswith('.num_batches_tracked'):
        return np.zeros(shape, np.int64)
    r = draws(prefix + name, int(np.prod(shape)))
    u8 = np.array([((x >> 24) - 128) / 128 for x in r])
    if name.endswith('.running_mean'):
        v = u8 * 0.1
    elif name.endswith('.running_var'):
        v = 1 + np.abs(u8) * 0.5
    elif name.endswith('.edge_weights'):
        v = 1 + u8 * 0.5
        if fnv1a(prefix + name) % 5 == 0:
            v[-1] = -v[-1]
    elif re.search(r'(^|\.)bn[123]?\.weight$', name):
        v = 1 + u8 * 0.2
    elif re.search(r'(^|\.)bn[123]?\.bias$', name):
        v = u8 * 0.2
    elif name == 'class_net.predict.conv_pw.bias':
        v = -2 + u8 * 0.5
    elif name.endswith('.bias'):
        v = u8 * 0.1
    else:
        gain = next(g for pattern, g in GAINS if re.search(pattern, name))
        scale = math.floor(gain * 1024 / math.sqrt(shape[1] * shape[2] * shape[3]) + 0.5) / 1024
        v = np.array([(2 * (x >> 28) - 15) / 16 for x in r]) * scale
    return v.astype(np.float32).reshape(shape)


def shapes(which):
    return json.load(open(os.path.join(FIXTURES, 'tiny-shapes.json')))[which]


def path(name):
    return os.path.join(FIXTURES, name)
