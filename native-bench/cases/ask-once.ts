// Asks a server once, to see that what will be measured is the right answer and no error page.
import http from "node:http";
import https from "node:https";

const TIMEOUT_MS = 5000;

/** @returns what is wrong with the answer, or null when it is as expected. */
export function askOnce(
  url: URL,
  expected: {
    readonly answerBytes: number;
    readonly method?: string;
    readonly bodyBytes?: number;
    readonly headers?: Readonly<Record<string, string>>;
  },
): Promise<string | null> {
  const { answerBytes, method = "GET", bodyBytes, headers } = expected;
  return new Promise((resolve) => {
    const ask = url.protocol === "https:" ? https.request : http.request;
    const length = bodyBytes === undefined ? {} : { "Content-Length": String(bodyBytes) };
    // The certificate was made for this run and is nobody's secret.
    const options = { method, headers: { ...headers, ...length }, agent: false, rejectUnauthorized: false, timeout: TIMEOUT_MS } as const;
    const request = ask(url, options, (response) => {
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      response.on("error", (error) => resolve(error.message));
      response.on("end", () => {
        if (response.statusCode !== 200) resolve(`status ${response.statusCode}`);
        else resolve(bytes === answerBytes ? null : `${bytes} bytes of body where ${answerBytes} were expected`);
      });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
    request.on("error", (error) => resolve(error.message));
    request.end(bodyBytes === undefined ? undefined : "x".repeat(bodyBytes));
  });
}
