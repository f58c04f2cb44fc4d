import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  resolve: { conditions: ["source", "browser", "module", "import"] },
  optimizeDeps: { exclude: ["onnxruntime-web"] },
  build: { outDir: "dist", target: "es2023", emptyOutDir: true },
  server: { fs: { allow: [".."] } },
});
