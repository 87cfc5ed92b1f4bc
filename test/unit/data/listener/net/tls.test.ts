// TLS of the net engine: real handshakes by node:tls and openssl with listeners that are opened in this thread; two listeners are what two workers have.
import { execFile } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import tls, { type ConnectionOptions, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { Authority } from "../../../../support/authority.ts";
import { makeCertificate } from "../../../../support/certificates.ts";
import { NetRig } from "../../../../support/net-rig.ts";
import { until } from "../../../../support/until.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-net-tls-"));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const first = makeCertificate(folder, "first", ["first.test"]);
const exact = makeCertificate(folder, "exact", ["api.example.com"]);
const wild = makeCertificate(folder, "wild", ["*.example.com"]);
const authority = new Authority(folder, "clients");
const other = new Authority(folder, "others");
const client = authority.issue("client", ["client.test"]);
const stranger = other.issue("stranger", ["stranger.test"]);
const expired = authority.issue("expired", ["expired.test"], { expired: true });

const pem = ({ cert, key }: { readonly cert: string; readonly key: string }) => ({
  cert: fs.readFileSync(cert),
  key: fs.readFileSync(key),
});
const entry = ({ cert, key }: { readonly cert: string; readonly key: string }, ...hosts: string[]): string =>
  `{ cert: ${cert}, key: ${key}, hosts: ${JSON.stringify(hosts)} }`;
const listener = (rest = "", more = ""): string =>
  `[{ address: 127.0.0.1:0, engine: net, tls: { certificates: [${entry(first)}] ${rest} } ${more} }]`;
const THREE = `[{ address: 127.0.0.1:0, engine: net, tls: { certificates: [${entry(first)}, ${entry(exact, "API.Example.com")}, ${entry(wild, "*.example.com")}] } }]`;

const started = async (listeners: string, limits?: string): Promise<NetRig> => {
  const rig = await NetRig.start(listeners, limits);
  onTestFinished(() => rig[Symbol.asyncDispose]());
  return rig;
};

/** A handshake, over on both sides; under TLS 1.3 a client hears of a refusal only by reading on. */
const connected = (port: number, options: ConnectionOptions = {}): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options }, () => resolve(socket));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("closed")));
    onTestFinished(() => void socket.destroy());
  });

const subject = (socket: TLSSocket): string => String(socket.getPeerCertificate().subject.CN);

describe("certificates", () => {
  it.each([
    ["api.example.com", "api.example.com"],
    ["API.EXAMPLE.COM", "api.example.com"],
    ["www.example.com", "*.example.com"],
    ["WWW.Example.Com", "*.example.com"],
    ["a.b.example.com", "first.test"],
    ["example.com", "first.test"],
    ["other.test", "first.test"],
    ["", "first.test"],
  ])("whoever asks for '%s' gets the certificate of %s", async (servername, name) => {
    const rig = await started(THREE);
    const { port } = await rig.open();
    expect(subject(await connected(port, { servername }))).toBe(name);
    expect((await rig.connection(0)).channel.serverName).toBe(servername.toLowerCase());
  });

  it("a connection answers for the hosts of its certificate only", async () => {
    const rig = await started(THREE);
    const { port } = await rig.open();
    await connected(port, { servername: "www.example.com" });
    const { terms } = await rig.connection(0);
    expect(["www.example.com", "mail.example.com", "api.example.com", "first.test"].map((host) => terms.answersFor(host))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe("protocols", () => {
  const agreed = async (more: string, h2: boolean, options: ConnectionOptions): Promise<string> => {
    const rig = await started(listener("", more));
    const { port } = await rig.open(rig.plans[0], h2 ? {} : { h2: null });
    const { alpnProtocol } = await connected(port, options);
    expect((await rig.connection(0)).channel.protocol).toBe(alpnProtocol === "h2" ? "h2" : "http/1.1");
    return String(alpnProtocol);
  };
  it("HTTP/2 is agreed on where both sides have it", async () => {
    expect(await agreed("", true, { ALPNProtocols: ["http/1.1", "h2"] })).toBe("h2");
    expect(await agreed(", http2: false", true, { ALPNProtocols: ["h2", "http/1.1"] })).toBe("http/1.1");
    expect(await agreed("", false, { ALPNProtocols: ["h2", "http/1.1"] })).toBe("http/1.1");
    expect(await agreed("", true, {})).toBe("false");
  });

  it("a client that speaks none of ours is turned away in the handshake (RFC 7301 section 3.2)", async () => {
    const rig = await started(listener());
    const { port } = await rig.open();
    await expect(connected(port, { ALPNProtocols: ["acme-tls/1"] })).rejects.toThrow(/no application protocol/i);
  });

  it("versions, suites and curves are those of the configuration, the server's order first", async () => {
    const rig = await started(
      listener(", maxVersion: TLSv1.2, ciphers: [ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-ECDSA-AES128-GCM-SHA256], curves: [P-384]"),
    );
    const { port } = await rig.open();
    const socket = await connected(port, { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384", minVersion: "TLSv1.2" });
    expect([socket.getProtocol(), socket.getCipher().name]).toEqual(["TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"]);
    await expect(connected(port, { minVersion: "TLSv1.3" })).rejects.toThrow(/version/i);
    await expect(connected(port, { ecdhCurve: "X25519" })).rejects.toThrow();
  });
});

describe("who comes otherwise", () => {
  const raw = (port: number): net.Socket => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => {});
    onTestFinished(() => void socket.destroy());
    return socket;
  };
  const all = async (socket: net.Socket): Promise<string> => {
    let text = "";
    for await (const part of socket) text += String(part);
    return text;
  };

  it.each(["GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", `POST / HTTP/1.1\r\nContent-Length: 200000\r\n\r\n${"b".repeat(200_000)}`, "G"])(
    "plain HTTP is answered 400 (%.12s)",
    async (request) => {
      const rig = await started(listener());
      const { port, listener: opened } = await rig.open();
      const socket = raw(port);
      socket.write(request);
      const answer = await all(socket);
      expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n(?:.+\r\n)*connection: close\r\n\r\nThis port speaks TLS: use https\.\n$/);
      expect(answer).toContain("content-length: 33\r\n");
      socket.destroy();
      await until("it is closed", () => opened.connections === 0);
      expect(rig.served).toEqual([]);
    },
  );

  it("what is neither is closed, and never served", async () => {
    const rig = await started(listener(), "{ headerTimeout: 300ms }");
    const { port, listener: opened } = await rig.open();
    for (const bytes of ["\x00\x01", "\x80\x2e\x01\x00\x02", "\x16\x03\x01\x00\x05hello", "\r\n\r\n\0\r\nQUIT\n"]) {
      const socket = raw(port);
      socket.end(Buffer.from(bytes, "latin1"));
      await all(socket);
    }
    await until("all are closed", () => opened.connections === 0);
    expect(rig.served).toEqual([]);
  });

  it.each([
    ["says nothing", Buffer.alloc(0)],
    ["stops in its handshake", Buffer.from("1603010200010001fc0303", "hex")],
  ])("a client that %s is closed after the time for a head", async (_, bytes) => {
    const rig = await started(listener(), "{ headerTimeout: 200ms }");
    const { port, listener: opened } = await rig.open();
    const socket = raw(port);
    socket.write(bytes);
    await all(socket);
    await until("it is closed", () => opened.connections === 0);
  });

  it("a handshake that comes byte by byte is one", async () => {
    const rig = await started(listener());
    const { port } = await rig.open();
    const relay = net.createServer((near) => {
      const far = net.connect({ port, noDelay: true });
      near.on("data", (chunk) => {
        for (const byte of chunk) far.write(Buffer.of(byte));
      });
      far.pipe(near);
      near.on("close", () => far.destroy());
    });
    await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void relay.close());
    const socket = await connected((relay.address() as net.AddressInfo).port);
    socket.write("hello");
    const connection = await rig.connection(0);
    await until("it is read", () => connection.text === "hello");
  });

  it("a connection is turned away before anything is read of it where there are too many", async () => {
    const rig = await started(listener());
    rig.admits = () => false;
    const { port, listener: opened } = await rig.open();
    await expect(connected(port)).rejects.toThrow();
    expect([rig.peers, opened.connections, rig.served]).toEqual([["127.0.0.1"], 0, []]);
  });

  it("renegotiation is refused", async () => {
    const rig = await started(listener());
    const { port } = await rig.open();
    const socket = await connected(port, { maxVersion: "TLSv1.2" });
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.renegotiate({}, () => {});
    await closed;
    await until("it is closed", () => rig.served[0]?.calls.includes("closed") === true);
  });
});

describe("openssl", () => {
  it("its client speaks with us, in one connection and by a resumed one", async () => {
    const rig = await started(listener());
    const { port } = await rig.open(rig.plans[0], {
      "http/1.1": (channel) => {
        const received = (): void => {
          channel.write("hello from here\n");
          channel.end();
        };
        const served = { received, ended: () => channel.end(), drained() {}, closed() {}, withdraw() {}, drain() {}, endWebSocket() {} };
        channel.reader = served;
        channel.resume();
        return served;
      },
    });
    const run = async (...options: string[]): Promise<string> => {
      const child = promisify(execFile)("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-ign_eof", ...options], {
        timeout: 8000,
      });
      child.child.stdin?.end("Q? no: a line\n");
      return (await child).stdout;
    };
    const session = path.join(folder, "session.pem");
    const fresh = await run("-tls1_2", "-sess_out", session);
    expect(fresh).toContain("hello from here");
    expect(fresh).toMatch(/^New, TLSv1\.2/m);
    expect(await run("-tls1_2", "-sess_in", session)).toMatch(/^Reused, TLSv1\.2/m);
    expect(await run("-tls1_3")).toContain("hello from here");
  });
});

describe("clients' certificates", () => {
  const mtls = (mode = "required"): string => listener(`, clientCa: ${authority.ca}, clientCertificates: ${mode}`);
  /** Served, or closed. */
  const outcome = async (rig: NetRig, port: number, options: ConnectionOptions): Promise<string> => {
    const before = rig.served.length;
    const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
    let closed = false;
    socket.on("error", () => {});
    socket.on("close", () => {
      closed = true;
    });
    socket.resume();
    onTestFinished(() => void socket.destroy());
    await until("it is served or closed", () => rig.served.length > before || closed);
    const connection = rig.served[before];
    return connection === undefined ? "closed" : (connection.channel.certificate?.subject.replace("CN=", "") ?? "nobody");
  };

  it.each<[string, string, ConnectionOptions, string]>([
    ["required", "a good one", pem(client), "client.test"],
    ["required", "none", {}, "closed"],
    ["required", "one of another authority", pem(stranger), "closed"],
    ["required", "one that has expired", pem(expired), "closed"],
    ["optional", "a good one", pem(client), "client.test"],
    ["optional", "none", {}, "nobody"],
    ["optional", "one of another authority", pem(stranger), "closed"],
    ["optional", "one that has expired", pem(expired), "closed"],
  ])("%s, and a client has %s: %s", async (mode, _, options, expected) => {
    const rig = await started(mtls(mode));
    const { port } = await rig.open();
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) expect(await outcome(rig, port, { ...options, maxVersion })).toBe(expected);
  });

  it("a listener that does not ask for certificates has none", async () => {
    const rig = await started(listener());
    const { port } = await rig.open();
    expect(await outcome(rig, port, pem(client))).toBe("nobody");
  });

  it("when another plan is in force, those whom its authorities do not vouch for are let go, and new ones are not let in", async () => {
    const rig = await started(`[${[authority, other].map(({ ca }) => listener(`, clientCa: ${ca}`).slice(1, -1)).join(", ")}]`);
    const [mine, others] = rig.plans;
    const { port, listener: opened } = await rig.open(mine);
    await connected(port, pem(client));
    const connection = await rig.connection(0);
    opened.succeededBy(mine ?? null);
    expect(connection.calls).toEqual([]);
    opened.succeededBy(null);
    expect(connection.calls).toEqual([]);
    opened.succeededBy(others ?? null);
    expect(connection.calls).toEqual(["withdraw"]);
    expect(await outcome(rig, port, pem(client))).toBe("closed");
  });
});

describe("sessions", () => {
  interface Begun {
    readonly reused: boolean;
    /** Of a resumed one that which was resumed: it is not renewed. */
    readonly session: Buffer;
  }

  /** A connection whose session can be resumed: with TLS 1.3 the ticket comes behind the handshake. */
  const withSession = async (rig: NetRig, port: number, options: ConnectionOptions & { readonly session?: Buffer }): Promise<Begun> => {
    const before = rig.served.length;
    const ca = [first, exact].map(({ cert }) => fs.readFileSync(cert));
    // Node's client keeps only sessions with servers that it has verified.
    const socket = tls.connect({ port, host: "127.0.0.1", ca, ...options });
    onTestFinished(() => void socket.destroy());
    socket.resume();
    const ticket = new Promise<Buffer>((resolve) => socket.on("session", resolve));
    await new Promise((resolve, reject) => socket.on("secureConnect", resolve).on("error", reject));
    const reused = socket.isSessionReused();
    const session = reused ? options.session : await ticket;
    await rig.connection(before);
    if (session === undefined) throw new Error("there is no session");
    return { reused, session };
  };

  describe.each(["TLSv1.2", "TLSv1.3"] as const)("%s", (version) => {
    const of = { minVersion: version, maxVersion: version, servername: "first.test" };

    it("one worker resumes what another has begun, until the keys are exchanged", async () => {
      const rig = await started(listener());
      const [one, two] = [await rig.open(), await rig.open()];
      const { session, reused } = await withSession(rig, one.port, of);
      expect(reused).toBe(false);
      const again = await withSession(rig, two.port, { ...of, session });
      expect(again.reused).toBe(true);
      rig.ticketKeys = new Uint8Array(48).fill(8);
      for (const { listener: each } of [one, two]) each.useTicketKeys(rig.ticketKeys);
      const late = await withSession(rig, one.port, { ...of, session: again.session });
      expect(late.reused).toBe(false);
      expect((await withSession(rig, two.port, { ...of, session: late.session })).reused).toBe(true);
      // One that is opened later has the new ones from its beginning.
      const three = await rig.open();
      expect((await withSession(rig, three.port, { ...of, session: late.session })).reused).toBe(true);
    });

    it("a session begun under one server name is resumed under it, with the certificate chosen by name", async () => {
      const rig = await started(THREE);
      const [one, two] = [await rig.open(), await rig.open()];
      const names = { ...of, servername: "api.example.com" };
      const { session } = await withSession(rig, one.port, names);
      expect((await withSession(rig, two.port, { ...names, session })).reused).toBe(true);
      const resumed = await rig.connection(1);
      expect([resumed.terms.answersFor("api.example.com"), resumed.terms.answersFor("www.example.com")]).toEqual([
        true,
        version === "TLSv1.2",
      ]);
    });

    it("the certificate of a client is that of its session, verified", async () => {
      const rig = await started(listener(`, clientCa: ${authority.ca}`));
      const [one, two] = [await rig.open(), await rig.open()];
      const { session } = await withSession(rig, one.port, { ...of, ...pem(client) });
      // It need not be shown again.
      expect((await withSession(rig, two.port, { ...of, session })).reused).toBe(true);
      const resumed = await rig.connection(1);
      expect(resumed.channel.certificate?.subject).toBe("CN=client.test");
    });

    it("a session without a certificate opens no listener that demands one, nor one of other authorities", async () => {
      const rig = await started(
        `[${["", `, clientCa: ${authority.ca}, clientCertificates: optional`, `, clientCa: ${authority.ca}`, `, clientCa: ${other.ca}`].map((rest, i) => listener(rest, `, name: l${i}`).slice(1, -1)).join(", ")}]`,
      );
      const [open, optional, required, others] = await Promise.all(rig.plans.map((plan) => rig.open(plan)));
      const sessions = [
        await withSession(rig, open?.port ?? 0, of),
        await withSession(rig, optional?.port ?? 0, of),
        await withSession(rig, required?.port ?? 0, { ...of, ...pem(client) }),
      ];
      const before = rig.served.length;
      for (const { session } of sessions)
        for (const each of [required, others]) {
          if (session === sessions[2]?.session && each === required) continue;
          const socket = tls.connect({ port: each?.port ?? 0, host: "127.0.0.1", rejectUnauthorized: false, ...of, session });
          socket.on("error", () => {});
          socket.resume();
          await new Promise((resolve) => socket.on("close", resolve));
        }
      expect(rig.served).toHaveLength(before);
    });
  });
});
