import { onnxRuntime, type OrtModule } from "./onnxruntime.ts";

let loaded: Promise<OrtModule> | undefined;

/** The onnxruntime-node package, loaded when first wanted. */
export function loadOrtNode(): Promise<OrtModule> {
  loaded ??= import("onnxruntime-node").then((module) => (module.default ?? module) as unknown as OrtModule);
  return loaded;
}

/** ONNX Runtime in Node: native code for CPU, and CUDA, CoreML, DirectML or WebGPU where the package has them. */
export const nodeRuntime = onnxRuntime("onnxruntime-node", loadOrtNode);
