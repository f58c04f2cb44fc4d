"""Checks every model of a folder with the onnx package: `python check_models.py FOLDER`."""

import pathlib
import sys

import onnx
from onnx import checker, shape_inference

print("onnx", onnx.__version__)
failed = 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    try:
        model = onnx.load(path)
        checker.check_model(model, full_check=True)
        inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        told = {value.name: value for value in model.graph.value_info}
        wrong = [
            value.name
            for value in inferred.graph.value_info
            if value.name in told
            and [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
            != [d.dim_value or d.dim_param for d in told[value.name].type.tensor_type.shape.dim]
        ]
        if wrong:
            raise ValueError(f"shapes that differ from the inferred ones: {wrong[:5]}")
        domains = sorted({node.domain for node in model.graph.node})
        if domains != [""]:
            raise ValueError(f"operators of {domains}")
        print("ok    ", path.name, len(model.graph.node), "nodes,", len(told), "shapes told")
    except Exception as error:  # noqa: BLE001
        failed += 1
        print("FAILED", path.name, str(error).splitlines()[0])
sys.exit(1 if failed else 0)
