import jsdoc from "eslint-plugin-jsdoc";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "src/onnx/generated", "demo/dist", "coverage"] },
  ...tseslint.configs.recommended,
  {
    files: ["**/*.ts"],
    plugins: { jsdoc },
    rules: {
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-empty-object-type": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/consistent-type-imports": "error",
      "no-restricted-syntax": [
        "error",
        { selector: "TSEnumDeclaration", message: "Use a union of string literals." },
        { selector: "ExportDefaultDeclaration", message: "Use named exports." },
      ],
      "jsdoc/require-jsdoc": [
        "error",
        {
          publicOnly: true,
          require: { FunctionDeclaration: true, ClassDeclaration: true },
          checkConstructors: false,
        },
      ],
      "jsdoc/no-types": "error",
      "no-console": "error",
      eqeqeq: "error",
    },
  },
  {
    files: [
      "**/*.test.ts",
      "src/testing/**",
      "test/**",
      "bench/**",
      "tools/**",
      "examples/**",
      "**/*.config.ts",
      "demo/**",
    ],
    rules: { "jsdoc/require-jsdoc": "off", "no-console": "off", "no-restricted-syntax": "off" },
  },
);
