import { defineConfig } from "vitest/config";

const slow = process.env.EFFICIENTDET_SLOW === "1";

export default defineConfig({
  resolve: { conditions: ["source"] },
  ssr: { resolve: { conditions: ["source"], externalConditions: ["source"] } },
  test: {
    include: slow ? ["{src,test}/**/*.slow.ts"] : ["{src,test}/**/*.test.ts"],
    testTimeout: slow ? 1_200_000 : 30_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
    reporters: ["default", "./test/summary-reporter.ts"],
  },
});
