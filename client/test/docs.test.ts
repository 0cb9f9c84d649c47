// docs/client.md lists every method of a client and of a room, with its arguments.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import ts from "typescript";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

/** Signatures of the public methods of a file's classes, also of those grouped in a field, as the page writes them. */
function methods(path: string): string[] {
  const found: string[] = [];
  const see = (node: ts.Node): void => {
    const isMethod = ts.isMethodDeclaration(node) || ts.isMethodSignature(node);
    if (isMethod && ts.isIdentifier(node.name)) found.push(`${node.name.text}(${node.parameters.map(named).join(", ")})`);
    else if (ts.isClassDeclaration(node) || ts.isPropertyDeclaration(node) || ts.isTypeLiteralNode(node))
      ts.forEachChild(node, see);
  };
  ts.forEachChild(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true), see);
  return found;
}

function named({ name, questionToken, initializer }: ts.ParameterDeclaration): string {
  const plain = name.getText().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return questionToken || initializer ? `${plain}?` : plain;
}

test("the page has the signature of each method", () => {
  const page = [...read("../../docs/client.md").matchAll(/`(?:members\.)?(\w+\([^`]*\))`/g)].map(([, one]) => one);
  const wanted = [...methods("../src/room.ts"), ...methods("../src/client.ts")];
  assert(wanted.includes("add(userIds, role?)") && wanted.includes("on(type, handler)"));
  const objects = ["rooms(filter?)", "group(group)"]; // the page shows the object itself
  assert.deepEqual(wanted.filter((one) => !page.includes(one) && !objects.includes(one)), []);
});

test("the page has the fields of a row of the list", () => {
  const [, table = ""] = /\| field of a row \|.*\n.*\n((?:\|.*\n)+)/.exec(read("../../docs/client.md")) ?? [];
  const listed = [...table.matchAll(/^\| (.*?) \|/gm)].flatMap(([, cell = ""]) => cell.replace(/`/g, "").split(", "));
  const known = new Set([...fields("../types.d.ts", "Room"), ...fields("../src/rooms.ts", "RoomSummary")]);
  const internal = ["epoch", "offset", "version", "delivered_seq", "made_by", "deleted_at"];
  assert.deepEqual(listed.sort(), [...known].filter((one) => !internal.includes(one)).sort());
});

/** Names of the properties of an interface of this file, with those of the ones it extends. */
function fields(path: string, name: string): string[] {
  const { statements } = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true);
  const found = statements.filter((one) => ts.isInterfaceDeclaration(one)).find((one) => one.name.text === name);
  const above = found?.heritageClauses?.flatMap(({ types }) => types.map(({ expression }) => expression.getText())) ?? [];
  const own = found?.members.map((member) => member.name?.getText() ?? "") ?? [];
  return [...above.flatMap((one) => fields(path, one)), ...own];
}
