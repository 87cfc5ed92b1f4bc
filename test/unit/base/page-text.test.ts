// Placeholders of error pages, and how values are written where they stand.
import { describe, expect, it } from "vitest";
import { escapingOf, PageText } from "../../../src/base/page-text.ts";

const VALUES = {
  status: 404,
  code: "route_not_found",
  title: `<b>"It's" & gone</b>\n`,
  requestId: "a/b=1",
  url: () => 'https://a.example/x?q="<b>',
};
const filled = (text: string, type: string): string => new PageText(text, escapingOf(type)).fill(VALUES);

describe("values", () => {
  it.each([
    ["text/html", "<p>{title}</p>", "<p>&lt;b&gt;&quot;It&#39;s&quot; &amp; gone&lt;/b&gt;\n</p>"],
    ["application/xml", "<e>{title}</e>", "<e>&lt;b&gt;&quot;It&#39;s&quot; &amp; gone&lt;/b&gt;\n</e>"],
    ["image/svg+xml", "{title}", "&lt;b&gt;&quot;It&#39;s&quot; &amp; gone&lt;/b&gt;\n"],
    ["application/json", '{"status":{status},"title":"{title}"}', `{"status":404,"title":"<b>\\"It's\\" & gone</b>\\n"}`],
    ["application/vnd.acme+json", '"{title}"', `"<b>\\"It's\\" & gone</b>\\n"`],
    ["text/plain", "{status} {code} {requestId}", "404 route_not_found a/b=1"],
  ])("are escaped for %s", (type, text, expected) => {
    expect(filled(text, type)).toBe(expected);
  });

  it("are percent-encoded in URLs", () => {
    expect(new PageText("https://a/?c={code}&r={requestId}&t={title}", "url").fill(VALUES)).toBe(
      "https://a/?c=route_not_found&r=a%2Fb%3D1&t=%3Cb%3E%22It's%22%20%26%20gone%3C%2Fb%3E%0A",
    );
  });

  it("what was asked for stands in URLs alone, where it is percent-encoded", () => {
    expect(new PageText("https://a/?rd={url}", "url").fill(VALUES)).toBe("https://a/?rd=https%3A%2F%2Fa.example%2Fx%3Fq%3D%22%3Cb%3E");
    for (const how of ["html", "json", "none"] as const) expect(new PageText("const {url} = x", how).fill(VALUES)).toBe("const {url} = x");
  });

  it("in JSON are JSON, whatever they hold", () => {
    expect(JSON.parse(filled('{"title":"{title}","status":{status}}', "application/json"))).toEqual({ title: VALUES.title, status: 404 });
  });
});

it("braces that are no placeholder stay as they are", () => {
  const css = "<style>body { margin: 0 } a{b}</style>{statu} {{status} {detail} {__proto__}";
  expect(filled(css, "text/html")).toBe(css.replace("{status}", "404"));
  expect(new PageText("body { margin: 0 }", "html").isConstant).toBe(true);
});

it("a value is not looked into for further placeholders", () => {
  expect(new PageText("{title}", "none").fill({ ...VALUES, title: "{requestId}" })).toBe("{requestId}");
});
