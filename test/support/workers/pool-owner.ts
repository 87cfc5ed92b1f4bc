// A thread that owns a verification pool, uses it, and exits while a call is under way: as a worker does at the end of a drain.
import { parentPort, workerData } from "node:worker_threads";
import { VerifyPool } from "../../../src/offload/verify-pool.ts";
import type { VerificationKeyPlan } from "../../../src/plan/keys.ts";

const { token, plan } = workerData as { readonly token: string; readonly plan: VerificationKeyPlan }; // what the test hands over
const pool = new VerifyPool(() => {});
parentPort?.postMessage(await pool.verify(token, "ES256", plan));
for (let i = 0; i < 400; i++) void pool.verify(token, "ES256", plan);
process.exit(3);
