// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the subject is ${VAR} in configuration files
import { expect, it } from "vitest";
import { interpolate } from "../../../../../src/control/config/source/interpolate.ts";

const env = { HOST: "10.0.0.1", PORT: "9001", EMPTY: "", NESTED: "a${HOST}" };
const check = (text: string, expected: Partial<ReturnType<typeof interpolate>>) =>
  it(JSON.stringify(text), () => expect(interpolate(text, env)).toMatchObject({ missing: [], malformed: false, ...expected }));

check("plain", { text: "plain", changed: false });
check("${HOST}", { text: "10.0.0.1", changed: true });
check("http://${HOST}:${PORT}/", { text: "http://10.0.0.1:9001/" });
check("${NONE:-fallback}", { text: "fallback" });
check("${EMPTY:-fallback}", { text: "fallback" });
check("${EMPTY}", { text: "" });
check("${NONE:-}", { text: "" });
check("${NONE:-http://127.0.0.1:1}", { text: "http://127.0.0.1:1" });
check("${NESTED}", { text: "a${HOST}" }); // values are not scanned again
check("$${HOST}", { text: "${HOST}" });
check("${NONE} and ${OTHER}", { missing: ["NONE", "OTHER"] });
check("${HOST-x}", { text: "${HOST-x}", malformed: true });
check("${1A}", { malformed: true });
check("${HOST", { malformed: true });
check("$HOST costs $5", { text: "$HOST costs $5", changed: false });
