export * from "./atomic-node.ts";
export * from "./names.ts";
export * from "./read-node.ts";
