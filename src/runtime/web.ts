import { onnxRuntime, type OrtModule } from "./onnxruntime.ts";

let loaded: Promise<OrtModule> | undefined;

/** The onnxruntime-web package, loaded when first wanted. */
export function loadOrtWeb(): Promise<OrtModule> {
  loaded ??= import("onnxruntime-web").then((module) => module as unknown as OrtModule);
  return loaded;
}

/** ONNX Runtime as WebAssembly (and WebGPU): browsers, workers, and Node too. */
export const webRuntime = onnxRuntime("onnxruntime-web", loadOrtWeb, "wasm");
