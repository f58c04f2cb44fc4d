export * from "./tensor.ts";
export * from "./float16.ts";
