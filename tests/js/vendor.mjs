// The socket.io-client of the lock as one module for the page, on stdout: `make vendor` writes it.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const parts = ["socket.io-client", "engine.io-client", "socket.io-parser", "engine.io-parser"];

function version(name) {
  return JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
}

const made = await build({
  stdin: { contents: 'export { io, Manager } from "socket.io-client";', resolveDir: "." },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2020",
  legalComments: "none",
  banner: {
    js: `/*! ${parts.map((name) => `${name} ${version(name)}`).join(", ")}; MIT, (c) Guillermo Rauch and contributors */`,
  },
  write: false,
});
process.stdout.write(made.outputFiles[0].contents);
