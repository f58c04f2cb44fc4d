export * from "./atomic-node.ts";
export * from "./names.ts";
