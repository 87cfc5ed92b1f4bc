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
    /** 200 unless given; of any other the body is not looked at. */
    readonly status?: number;
  },
): Promise<string | null> {
  const { answerBytes, method = "GET", bodyBytes, headers, status = 200 } = expected;
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
        if (response.statusCode !== status) resolve(`status ${response.statusCode}`);
        else resolve(bytes === answerBytes || status !== 200 ? null : `${bytes} bytes of body where ${answerBytes} were expected`);
      });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
    request.on("error", (error) => resolve(error.message));
    request.end(bodyBytes === undefined ? undefined : "x".repeat(bodyBytes));
  });
}

/**
 * Asks a guarded server with the token and with one whose signature is another: whoever lets that through is measured doing nothing.
 * @param token of three parts (RFC 7515 section 3.1). @returns what is wrong, or null
 */
export async function askGuarded(url: URL, token: string, expected: Parameters<typeof askOnce>[1]): Promise<string | null> {
  const ask = (bearer: string, status: number): Promise<string | null> =>
    askOnce(url, { ...expected, status, headers: { ...expected.headers, Authorization: `Bearer ${bearer}` } });
  const signature = token.lastIndexOf(".") + 1;
  // Not the last character: not all of its bits count.
  const forged = token.slice(0, signature) + (token[signature] === "A" ? "B" : "A") + token.slice(signature + 1);
  const wrong = (await ask(token, 200)) ?? (await ask(forged, 401));
  return wrong === "status 200" ? "it lets a forged token through" : wrong;
}
