"""Writes the .pth fixtures with PyTorch itself. Made with Python 3.11, torch 1.13.1 (Debian), numpy 1.24."""
import argparse
from collections import OrderedDict

import torch

from rule import fill, path, shapes


def state(prefix='', only='', wrap=''):
    out = OrderedDict()
    for name, shape in shapes('tiny').items():
        if not name.startswith(only):
            continue
        out[wrap + name] = torch.from_numpy(fill(name, shape, prefix))
        if name.endswith('.running_var'):
            out[wrap + name.replace('running_var', 'num_batches_tracked')] = torch.tensor(0)
    return out


# Two views, so that strides and offsets are read: a kernel stored transposed, and a bias inside a longer storage.
whole = state()
kernel = whole['class_net.predict.conv_pw.weight']
whole['class_net.predict.conv_pw.weight'] = kernel.permute(1, 0, 2, 3).contiguous().permute(1, 0, 2, 3)
bias = whole['class_net.predict.conv_pw.bias']
whole['class_net.predict.conv_pw.bias'] = torch.cat([torch.full((3,), 9.0), bias, torch.full((2,), 9.0)])[3:-2]
torch.save(whole, path('tiny.pth'))
torch.save(whole, path('tiny-legacy.pth'), _use_new_zipfile_serialization=False)

head = 'class_net.'
brain = state('ema:', head, 'module.')
brain = OrderedDict((k, v.bfloat16() if v.is_floating_point() else v) for k, v in brain.items())
torch.save({'epoch': 7, 'arch': 'tf_efficientdet_d0', 'state_dict': state('', head, 'module.'),
            'optimizer': {'state': {0: {'momentum_buffer': torch.ones(2)}}, 'param_groups': [{'lr': 0.01, 'params': [0]}]},
            'version': 2, 'args': argparse.Namespace(model='tf_efficientdet_d0', lr=0.01, experiment='größe'),
            'state_dict_ema': brain, 'metric': 0.25}, path('tiny-training.pth'))
