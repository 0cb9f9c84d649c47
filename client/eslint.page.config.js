// The page of web/ by the rules of the package, as far as they hold for JavaScript.
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["web/vendor"] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    files: ["web/**/*.js"],
    languageOptions: { parserOptions: { project: "client/tsconfig.page.json" } },
    rules: {
      // An element that may be left out (`is && h(…)`) counts as a branch.
      complexity: ["error", { max: 15, variant: "modified" }],
      "@typescript-eslint/prefer-nullish-coalescing": ["error", { ignorePrimitives: true }],
      "max-lines": ["error", 400],
      "max-lines-per-function": ["error", { max: 40, skipBlankLines: true, skipComments: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-meaningless-void-operator": "off",
    },
  },
);
