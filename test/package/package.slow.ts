import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), "efficientdet-package-"));
const run = (command: string, args: string[], cwd: string): string =>
  execFileSync(command, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: "", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "ignore"],
  });

// The package as it would be published, in a project of its own whose other dependencies are this project's.
describe("the packed package", () => {
  beforeAll(() => {
    run("npm", ["run", "build"], root);
    const packed = run("npm", ["pack", "--pack-destination", folder], root).trim().split("\n").at(-1)!;
    run("tar", ["-xzf", path.join(folder, packed)], folder);
    const modules = path.join(folder, "project", "node_modules");
    mkdirSync(modules, { recursive: true });
    run("mv", [path.join(folder, "package"), path.join(modules, "efficientdet")], folder);
    for (const name of readdirSync(path.join(root, "node_modules")))
      if (!name.startsWith(".")) symlinkSync(path.join(root, "node_modules", name), path.join(modules, name));
    writeFileSync(
      path.join(folder, "project", "package.json"),
      JSON.stringify({ type: "module", private: true }),
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const project = path.join(folder, "project");
  const own = path.join(project, "node_modules", "efficientdet");

  it("holds what it needs and no tests", () => {
    const files = readdirSync(own, { recursive: true, encoding: "utf8" });
    expect(existsSync(path.join(own, "weights", "lite0-everyday.safetensors"))).toBe(true);
    expect(files.filter((file) => /\.(test|slow)\.|[\\/]testing[\\/]/.test(file))).toEqual([]);
    const bytes = files.reduce(
      (sum, file) =>
        sum + (statSync(path.join(own, file)).isFile() ? statSync(path.join(own, file)).size : 0),
      0,
    );
    // Two float16 weight files of 6.6 and 6.0 MB, the rest code in two forms.
    expect(bytes).toBeLessThan(20e6);
  });

  it.each(["", "/train", "/eval", "/data", "/models", "/graph", "/onnx", "/weights", "/detection"])(
    "efficientdet%s imports",
    (subpath) => {
      writeFileSync(
        path.join(project, "import.js"),
        `import * as module from "efficientdet${subpath}"; console.log(Object.keys(module).length);`,
      );
      expect(Number(run(process.execPath, ["import.js"], project))).toBeGreaterThan(0);
    },
  );

  it("finds objects from five lines of code, and from its command", () => {
    const picture = path.join(root, "examples", "pictures", "biplane.jpg");
    writeFileSync(
      path.join(project, "detect.js"),
      `import { Detector } from "efficientdet";
const detector = await Detector.load();
console.log(JSON.stringify((await detector.detect(${JSON.stringify(picture)})).map(({ label }) => label)));
await detector.dispose();`,
    );
    expect(JSON.parse(run(process.execPath, ["detect.js"], project))).toContain("aeroplane");
    expect(
      run(
        process.execPath,
        [path.join(own, "dist", "cli", "main.js"), "detect", picture, "--no-draw"],
        project,
      ),
    ).toContain("aeroplane");
  });

  it("type-checks in a project of strict TypeScript", () => {
    writeFileSync(
      path.join(project, "use.ts"),
      `import { Detector, drawDetections, type Detection } from "efficientdet";\nexport async function count(file: string): Promise<number> {\n  await using detector = await Detector.load("lite0-everyday", { threads: 1 });\n  const found: Detection[] = await detector.detect(file, { scoreThreshold: 0.4 });\n  await drawDetections(file, found);\n  return found.length;\n}\n`,
    );
    const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc");
    run(
      process.execPath,
      [
        tsc,
        "--strict",
        "--noEmit",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        "--lib",
        "es2022,esnext.disposable,dom",
        "--types",
        "node",
        "--skipLibCheck",
        "use.ts",
      ],
      project,
    );
  });
});
