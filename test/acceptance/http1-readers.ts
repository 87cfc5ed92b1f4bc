// `npm run acceptance:readers`: thousands of requests of HTTP/1.x, valid and damaged, to this gateway (engine: net), nginx and HAProxy in front of one service. What
// both of a pair take must reach the service alike; what one takes and the other does not is counted by what was wrong with it, to be judged by a person.
// Exits 1 when a request that several take means something else behind one of them. SEED and COUNT choose what is sent.
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { haproxy } from "../../native-bench/peers/haproxy.ts";
import { nginx } from "../../native-bench/peers/nginx.ts";
import { type Peer, PLAIN } from "../../native-bench/peers/peer.ts";
import { widenPath } from "../../native-bench/peers/programs.ts";
import { sluiceNet } from "../../native-bench/peers/sluice.ts";
import { RunningStage } from "../../native-bench/peers/stage.ts";
import { MessageMaker } from "../support/http1-messages.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const COUNT = Number(process.env["COUNT"] ?? 2000);
const AT_ONCE = 32;
/** A reader that waits for more is left alone after so long, ms. */
const SILENCE_MS = 250;
const SHOWN = 12;

/** What became of one message at one server: for each response its status, and what the service got. */
type Outcome = readonly string[];

const say = (text: string): void => console.log(text);

/** The service says what reached it. */
const service = http.createServer({ insecureHTTPParser: false }, (request, response) => {
  let length = 0;
  request.on("data", (chunk: Buffer) => {
    length += chunk.length;
  });
  request.on("end", () => {
    response.setHeader("x-seen", `${request.method} ${request.url} ${length}`);
    response.end();
  });
});

function send(port: number, text: string): Promise<Outcome> {
  return new Promise((resolve) => {
    let received = "";
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const over = (): void => {
      socket.destroy();
      const heads = [...received.matchAll(/HTTP\/1\.[01] ([2-5]\d\d)[^\r]*\r\n((?:[^\r]+\r\n)*)\r\n/g)];
      resolve(heads.map(([, status = "", fields = ""]) => `${status} ${/x-seen: ([^\r]*)/i.exec(fields)?.[1] ?? ""}`.trim()));
    };
    socket.setTimeout(SILENCE_MS, over);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
    });
    socket.on("end", over);
    socket.on("error", over);
    socket.write(Buffer.from(text, "latin1"));
  });
}

/** Of the requests that got through. */
const served = (outcome: Outcome): readonly string[] => outcome.filter((each) => /^[23]\d\d /.test(each));
const normal = (seen: string): string => seen.replace(/ http:\/\/[^/ ]*/, " ").replace(/\?(?= \d)/, "");

/** @returns the first request that several took and that is another one behind each; '' for none */
function contradiction(a: Outcome, b: Outcome): string {
  const [first, second] = [served(a), served(b)];
  for (let i = 0; i < Math.min(first.length, second.length); i++) {
    const [x, y] = [normal(first[i] ?? ""), normal(second[i] ?? "")];
    if (x !== y) return `${x} against ${y}`;
  }
  return "";
}

await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
widenPath();
await using stage = await RunningStage.open();
const { directory, freePort, certificate, token } = stage;
const own = { directory, freePort, certificate, token, originPort: (service.address() as AddressInfo).port };
const peers: Peer[] = [];
for (const kind of [sluiceNet, nginx, haproxy]) peers.push(await kind.start(own, PLAIN));
const [ours, ...others] = peers as [Peer, ...Peer[]];
const maker = new MessageMaker(SEED);
const messages = Array.from({ length: COUNT }, () => maker.next());
const tally = new Map<string, string[]>();
let contradictions = 0;
for (let at = 0; at < messages.length; at += AT_ONCE) {
  await Promise.all(
    messages.slice(at, at + AT_ONCE).map(async (text) => {
      const mine = await send(ours.port, text);
      for (const other of others) {
        const theirs = await send(other.port, text);
        const wrong = contradiction(mine, theirs);
        if (wrong !== "") contradictions++;
        const [a, b] = [served(mine).length, served(theirs).length];
        const kind =
          wrong !== ""
            ? "means something else"
            : a === b
              ? "alike"
              : a < b
                ? `we refuse (${mine.at(-1)?.slice(0, 3) ?? "cut"})`
                : `${other.name} refuses (${theirs.at(-1)?.slice(0, 3) ?? "cut"})`;
        const key = `${other.name}: ${kind}`;
        const list = tally.get(key) ?? [];
        list.push(`${JSON.stringify(text).slice(0, 300)} -> ${mine.join(", ")} | ${theirs.join(", ")} ${wrong}`);
        tally.set(key, list);
      }
    }),
  );
}
for (const [key, list] of [...tally].sort()) {
  say(`${key}: ${list.length}`);
  if (!key.endsWith("alike")) for (const each of list.slice(0, SHOWN)) say(`    ${each}`);
}
for (const each of peers) await each.stop();
service.close();
service.closeAllConnections();
say(`${COUNT} messages, seed ${SEED}; ${contradictions} contradictions`);
process.exitCode = contradictions > 0 ? 1 : 0;
