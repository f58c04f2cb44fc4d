import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium, type Browser, type Page } from "playwright-core";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Detector } from "../../src/index.ts";

const browserPath =
  process.env.EFFICIENTDET_CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/google-chrome"].find(existsSync);
const picture = fileURLToPath(new URL("../../examples/pictures/biplane.jpg", import.meta.url));

// Needs a Chromium: EFFICIENTDET_CHROMIUM names it where it is not in the usual place.
describe.skipIf(!browserPath)("the demo page in a real browser", () => {
  let server: ViteDevServer;
  let browser: Browser;
  let page: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    server = await createServer({
      configFile: fileURLToPath(new URL("../../demo/vite.config.ts", import.meta.url)),
      server: { port: 0, host: "127.0.0.1" },
      logLevel: "silent",
    });
    await server.listen();
    browser = await chromium.launch({ executablePath: browserPath!, args: ["--no-sandbox"] });
    page = await browser.newPage();
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(server.resolvedUrls!.local[0]!);
    await page.getByText("ready: choose a picture").waitFor({ timeout: 120_000 });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  it("finds what Node finds, to a pixel and to 0.02 of the score", async () => {
    await page.setInputFiles("#file", picture);
    await page.getByText(/found in/).waitFor({ timeout: 60_000 });
    const rows = await page.$$eval("#found tr", (all) =>
      all.map((row) => [...(row as HTMLTableRowElement).cells].map((cell) => cell.textContent!)),
    );
    await using detector = await Detector.load();
    const expected = await detector.detect(picture);
    expect(rows.map(([label]) => label)).toEqual(expected.map(({ label }) => label));
    // A browser decodes JPEG by another library: a level or two per pixel.
    rows.forEach(([, score, ...edges], i) => {
      const { box, score: own } = expected[i]!;
      expect(Math.abs(Number(score) - own)).toBeLessThan(0.02);
      [box.xMin, box.yMin, box.xMax, box.yMax].forEach((edge, k) =>
        expect(Math.abs(Number(edges[k]) - edge)).toBeLessThan(2.5),
      );
    });
    expect(errors).toEqual([]);
    if (process.env.EFFICIENTDET_SCREENSHOTS)
      await page.screenshot({
        path: path.join(process.env.EFFICIENTDET_SCREENSHOTS, "demo.png"),
        fullPage: true,
      });
  });

  it("says in one line what is wrong with a file that is no picture", async () => {
    await page.setInputFiles("#file", {
      name: "note.jpg",
      mimeType: "image/jpeg",
      buffer: Buffer.from("not a picture"),
    });
    await page.getByText(/could not be decoded|cannot be decoded/i).waitFor({ timeout: 20_000 });
  });
});
