export { toOnnx, type OnnxModel, type OnnxOptions } from "./emit.ts";
