// The package as one module for the page of web/, on stdout. socket.io-client is the page's own.
import { build } from "esbuild";

const made = await build({
  entryPoints: ["src/index.ts"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  banner: { js: "/*! rts-chat: `make client` writes it from client/src. */" },
  plugins: [
    {
      name: "vendored",
      setup({ onResolve }) {
        const vendored = { path: "./socket.io.min.js", external: true };
        onResolve({ filter: /^socket\.io-client$/ }, () => vendored);
      },
    },
  ],
  write: false,
});
process.stdout.write(made.outputFiles[0].contents);
