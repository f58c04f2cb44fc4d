"""Writes the .h5, TF1, TF2 and .tflite fixtures with TensorFlow itself.

Made with Python 3.11, tensorflow-cpu 2.15.1, h5py 3.16, numpy 1.26. Only the graph of the .tflite is built here: a
network of EfficientDet-Lite's form with a few channels, without google/automl's code.
"""
import os
import re
import tempfile

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np
import tensorflow as tf

from rule import fill, path, shapes

NORM = {'weight': 'gamma', 'bias': 'beta', 'running_mean': 'moving_mean', 'running_var': 'moving_variance'}
SEPARABLE = {'conv_dw.weight': 'depthwise_kernel', 'conv_pw.weight': 'pointwise_kernel', 'conv_pw.bias': 'bias'}


def official(name):
    """automl's name of an effdet tensor (fusion weights: the prefix of the scalars)."""
    part = name.rsplit('.', 1)[1]
    if name == 'backbone.conv_stem.weight':
        return 'efficientnet-b0/stem/conv2d/kernel'
    if name.startswith('backbone.bn1.'):
        return f'efficientnet-b0/stem/tpu_batch_normalization/{NORM[part]}'
    m = re.match(r'backbone\.blocks\.(\d)\.(\d)\.(.*)\.(\w+)$', name)
    if m:
        number = [[0], [1, 2], [3], [4], [5], [6], [7]][int(m[1])][int(m[2])]
        block = f'efficientnet-b0/blocks_{number}'
        if m[3].startswith('bn'):
            suffix = '' if m[3] == 'bn1' else f'_{int(m[3][2]) - 1}'
            return f'{block}/tpu_batch_normalization{suffix}/{NORM[part]}'
        layer = {'se.conv_reduce': 'se/conv2d', 'se.conv_expand': 'se/conv2d_1', 'conv_dw': 'depthwise_conv2d',
                 'conv_pw': 'conv2d', 'conv_pwl': 'conv2d_1'}[m[3]]
        return f"{block}/{layer}/{'bias' if part == 'bias' else 'depthwise_kernel' if m[3] == 'conv_dw' else 'kernel'}"
    m = re.match(r'fpn\.(?:cell\.0\.fnode\.(\d)\.)?(.*)$', name)
    if m:
        node = f'fpn_cells/cell_0/fnode{m[1]}'
        rest = m[2]
        if rest == 'combine.edge_weights':
            return f'{node}/WSM'
        r = re.match(r'(?:combine\.)?resample\.(\d)\.conv\.(conv|bn)\.(\w+)$', rest)
        if r:
            where = f'{node}/resample_0_{r[1]}_{5 + int(m[1])}' if m[1] else 'resample_p6'
            return f"{where}/{'bn/' + NORM[r[3]] if r[2] == 'bn' else 'conv2d/' + {'weight': 'kernel', 'bias': 'bias'}[r[3]]}"
        after = f'{node}/op_after_combine{5 + int(m[1])}'
        leaf = rest.removeprefix('after_combine.conv.')
        return f"{after}/{'bn/' + NORM[part] if leaf.startswith('bn.') else 'conv/' + SEPARABLE[leaf]}"
    m = re.match(r'(class|box)_net\.(?:bn_rep\.0\.(\d)\.bn|conv_rep\.0|predict)\.(.*)$', name)
    layer = 'predict' if '.predict.' in name else '0'
    if m[2]:
        return f'{m[1]}_net/{m[1]}-0-bn-{int(m[2]) + 3}/{NORM[part]}'
    return f'{m[1]}_net/{m[1]}-{layer}/{SEPARABLE[m[3]]}'


def variables(which, prefix=''):
    """Official name -> value in TensorFlow's layout."""
    out = {}
    for name, shape in shapes(which).items():
        value = fill(name, shape, prefix)
        target = official(name)
        if name.endswith('edge_weights'):
            for i, v in enumerate(value):
                out[target + (f'_{i}' if i else '')] = v
        elif value.ndim == 4:
            out[target] = value.transpose(2, 3, 0, 1) if 'depthwise' in target else value.transpose(2, 3, 1, 0)
        else:
            out[target] = value
    return out


class Holder(tf.keras.layers.Layer):
    """A layer that holds variables under automl's names."""

    def __init__(self, name, values):
        super().__init__(name=name)
        for key, value in values.items():
            self.add_weight(name=key, shape=np.shape(value), initializer=tf.constant_initializer(value))


class Model(tf.keras.Model):
    def __init__(self, values):
        super().__init__()
        groups = {}
        for key, value in values.items():
            groups.setdefault(key.split('/')[0], {})[key] = value
        self.parts = [Holder(k, v) for k, v in groups.items()]

    def call(self, x):
        return x


def files():
    values = variables('tiny')
    model = Model(values)
    model.build((1, 1))
    assert sorted(v.name for v in model.variables) == sorted(k + ':0' for k in values), [v.name for v in model.variables][:3]
    model.save_weights(path('tiny.h5'), save_format='h5')
    model.save_weights(path('tiny-tf2/ckpt'), save_format='tf')
    plain = variables('tiny', 'plain:')
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        save = {}
        for k in values:
            save[k] = tf.compat.v1.Variable(plain[k])
            save[k + '/ExponentialMovingAverage'] = tf.compat.v1.Variable(values[k])
        save['global_step'] = tf.compat.v1.Variable(np.int64(1234))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(save).save(session, path('tiny-tf1/model.ckpt-1234'), write_meta_graph=False)
    # TensorFlow writes the folder's whole path into this file.
    open(path('tiny-tf1/checkpoint'), 'w').write('model_checkpoint_path: "model.ckpt-1234"\n')


def network(images):
    """EfficientDet-Lite's graph in plain TensorFlow, NHWC."""
    w = {k: tf.constant(v) for k, v in variables('tiny-lite').items()}

    def norm(x, p):
        return tf.nn.batch_normalization(x, w[p + '/moving_mean'], w[p + '/moving_variance'], w[p + '/beta'], w[p + '/gamma'], 1e-3)

    def conv(x, k, s=1):
        return tf.nn.conv2d(x, w[k], s, 'SAME')

    def depthwise(x, k, s=1):
        return tf.nn.depthwise_conv2d(x, w[k], [1, s, s, 1], 'SAME')

    def separable(x, p):
        return conv(depthwise(x, p + '/depthwise_kernel'), p + '/pointwise_kernel') + w[p + '/bias']

    bn = '/tpu_batch_normalization'
    b = 'efficientnet-b0'
    x = tf.nn.relu6(norm(conv(images, f'{b}/stem/conv2d/kernel', 2), f'{b}/stem{bn}'))
    x = tf.nn.relu6(norm(depthwise(x, f'{b}/blocks_0/depthwise_conv2d/depthwise_kernel'), f'{b}/blocks_0{bn}'))
    x = norm(conv(x, f'{b}/blocks_0/conv2d/kernel'), f'{b}/blocks_0{bn}_1')
    features = []
    for i, stride in zip(range(1, 8), (2, 1, 2, 2, 1, 2, 1)):
        p, y = f'{b}/blocks_{i}', x
        y = tf.nn.relu6(norm(conv(y, f'{p}/conv2d/kernel'), p + bn))
        y = tf.nn.relu6(norm(depthwise(y, f'{p}/depthwise_conv2d/depthwise_kernel', stride), p + bn + '_1'))
        y = norm(conv(y, f'{p}/conv2d_1/kernel'), p + bn + '_2')
        x = x + y if stride == 1 and x.shape[3] == y.shape[3] else y
        if i in (3, 5, 7):
            features.append(x)

    def sampled(x, p):
        return norm(conv(x, p + '/conv2d/kernel') + w[p + '/conv2d/bias'], p + '/bn')

    def pool(x):
        return tf.nn.max_pool2d(x, 3, 2, 'SAME')

    features.append(pool(sampled(features[2], 'resample_p6')))
    features.append(pool(features[3]))
    level = [0, 1, 2, 3, 4]
    for k, (to, inputs) in enumerate([(3, [3, 4]), (2, [2, 5]), (1, [1, 6]), (0, [0, 7]), (1, [1, 7, 8]), (2, [2, 6, 9]),
                                      (3, [3, 5, 10]), (4, [4, 11])]):
        terms = []
        for i in inputs:
            t = features[i]
            if i < 3:
                t = sampled(t, f'fpn_cells/cell_0/fnode{k}/resample_0_{i}_{5 + k}')
            if level[i] > to:
                t = tf.image.resize(t, [features[to].shape[1], features[to].shape[2]], 'nearest')
            if level[i] < to:
                t = pool(t)
            terms.append(t)
        p = f'fpn_cells/cell_0/fnode{k}/op_after_combine{5 + k}'
        features.append(norm(separable(tf.nn.relu6(tf.add_n(terms)), p + '/conv'), p + '/bn'))
        level.append(to)
    outputs = []
    for net in ('class', 'box'):
        for l, i in enumerate((8, 9, 10, 11, 12)):
            y = tf.nn.relu6(norm(separable(features[i], f'{net}_net/{net}-0'), f'{net}_net/{net}-0-bn-{3 + l}'))
            outputs.append(separable(y, f'{net}_net/{net}-predict'))
    return outputs


def tflite():
    spec = tf.TensorSpec([1, 64, 64, 3], tf.float32, name='images')
    module = tf.Module()
    module.f = tf.function(lambda images: network(images), input_signature=[spec])
    folder = tempfile.mkdtemp()
    tf.saved_model.save(module, folder, signatures=module.f)
    rng = np.random.default_rng(0)
    for kind in ('float', 'half', 'int8'):
        c = tf.lite.TFLiteConverter.from_saved_model(folder)
        if kind != 'float':
            c.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == 'half':
            c.target_spec.supported_types = [tf.float16]
        if kind == 'int8':
            c.representative_dataset = lambda: ([rng.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)] for _ in range(8))
            c.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            c.inference_input_type = tf.uint8
        open(path(f'tiny-lite-{kind}.tflite'), 'wb').write(c.convert())


files()
tflite()
