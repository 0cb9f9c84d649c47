// How two PNGs of one size differ: node compare_pictures.mjs EXPECTED ACTUAL DIFFERENCE
//
// Prints a number from 0 to 1: of the square of 100 px where they differ most, the share of pixels
// that do, without those on the edges of letters. DIFFERENCE becomes a PNG with them in red. Pictures
// of different sizes differ by 1.
import { readFileSync, writeFileSync } from "node:fs";
import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";

const SIDE = 100;

const [expectedPath, actualPath, differencePath] = process.argv.slice(2);
const expected = PNG.sync.read(readFileSync(expectedPath));
const actual = PNG.sync.read(readFileSync(actualPath));
const { width, height } = actual;
if (expected.width !== width || expected.height !== height) {
  console.log(1);
} else {
  const difference = new PNG({ width, height });
  const options = { threshold: 0.1, windowSize: SIDE };
  const count = pixelmatch(expected.data, actual.data, difference.data, width, height, options);
  writeFileSync(differencePath, PNG.sync.write(difference));
  console.log(count / SIDE ** 2);
}
