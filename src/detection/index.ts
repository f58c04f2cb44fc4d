export * from "./anchors.ts";
export * from "./assignment.ts";
export * from "./boxes.ts";
export * from "./coder.ts";
export * from "./detect.ts";
export * from "./detection.ts";
export * from "./nms.ts";
export * from "./select.ts";
