import { onnxRuntime, type OrtModule } from "./onnxruntime.ts";

let loaded: Promise<OrtModule> | undefined;

/** The onnxruntime-node package, loaded when first wanted. */
export function loadOrtNode(): Promise<OrtModule> {
  loaded ??= import("onnxruntime-node").then((module) => {
    const ort = module.default ?? module;
    ort.env.logLevel = "fatal"; // errors come as exceptions; it would also write them to stderr, over several lines
    return ort as unknown as OrtModule;
  });
  return loaded;
}

/** ONNX Runtime in Node: native code for CPU, and CUDA, CoreML, DirectML or WebGPU where the package has them. */
export const nodeRuntime = onnxRuntime("onnxruntime-node", loadOrtNode);
