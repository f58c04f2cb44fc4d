import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const source = fileURLToPath(new URL("../src/", import.meta.url));

/** From the bottom up: a folder imports only from itself and from those before it (docs/architecture.md). */
const order = [
  "errors",
  "tensor",
  "files",
  "detection",
  "graph",
  "onnx",
  "runtime",
  "models",
  "weights",
  "image",
  "eval",
  "data",
  "train",
  "detector",
  "cli",
];

/** These import nothing from Node, nor from a file that does. */
const core = ["errors", "tensor", "detection", "graph", "onnx", "models", "weights", "eval"];

const files = (readdirSync(source, { recursive: true, encoding: "utf8" }) as string[])
  .map((file) => file.replaceAll("\\", "/"))
  .filter(
    (file) =>
      file.endsWith(".ts") && !/\.(test|slow)\.ts$|^testing\//.test(file) && !file.includes("generated/"),
  );

const imports = (file: string): { from: string; typeOnly: boolean }[] =>
  [
    ...readFileSync(path.join(source, file), "utf8").matchAll(
      /^(?:import|export)\s+(type\s)?[^;]*?from "([^"]+)";|^import "([^"]+)";/gm,
    ),
  ].map(([, type, from, bare]) => ({ from: (from ?? bare)!, typeOnly: type !== undefined }));
const roomOf = (file: string): string => file.split("/")[0]!.replace(/\.ts$/, "");
const target = (file: string, from: string): string => path.posix.join(path.posix.dirname(file), from);

describe("the structure", () => {
  it("knows every folder", () => {
    const rooms = new Set(files.map(roomOf).filter((room) => room !== "index" && room !== "web"));
    expect([...rooms].filter((room) => !order.includes(room))).toEqual([]);
  });

  it.each(order)("%s imports only downwards", (room) => {
    const upwards = files
      .filter((file) => roomOf(file) === room)
      .flatMap((file) =>
        imports(file)
          .filter(({ from }) => from.startsWith("."))
          .map(({ from }) => target(file, from))
          .filter((to) => order.indexOf(roomOf(to)) > order.indexOf(room))
          .map((to) => `${file} → ${to}`),
      );
    expect(upwards).toEqual([]);
  });

  it.each(core)("%s needs no Node, but in files named so", (room) => {
    const offenders = files
      .filter((file) => roomOf(file) === room && !/-node\.ts$/.test(file))
      .flatMap((file) =>
        imports(file)
          .filter(
            ({ from, typeOnly }) =>
              !typeOnly &&
              (from.startsWith("node:") ||
                /-node\.ts$/.test(from) ||
                from === "sharp" ||
                from === "onnxruntime-node"),
          )
          .map(({ from }) => `${file} → ${from}`),
      );
    expect(offenders).toEqual([]);
  });
});

describe("the package's scripts", () => {
  it("need none before or after them: .npmrc has npm skip these, also for `npm start`", () => {
    const home = fileURLToPath(new URL("../", import.meta.url));
    expect(readFileSync(path.join(home, ".npmrc"), "utf8")).toContain("ignore-scripts=true");
    const { scripts } = JSON.parse(readFileSync(path.join(home, "package.json"), "utf8")) as {
      scripts: object;
    };
    const names = Object.keys(scripts);
    expect(names.filter((name) => names.some((of) => name === `pre${of}` || name === `post${of}`))).toEqual(
      [],
    );
  });
});
