export * from "./tensor.ts";
export * from "./float16.ts";
export * from "./random.ts";
