// The types of the bundle are those of its source.
export * from "../../client/src/index.ts";
