// Reads an AsyncAPI document from its standard input, and prints what @asyncapi/parser has to say of it as JSON.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { Parser } = createRequire(`${process.argv[2]}/`)("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const problems = diagnostics.map(({ code, message, path, severity }) => ({ code, message, path: path.join("/"), severity }));
const channels = document === undefined ? [] : document.allChannels().all().map((channel) => channel.address());
process.stdout.write(JSON.stringify({ problems, channels }));
