// The entry of the thread that loads configurations: does one job at a time and answers, until it is ended, and its memory goes with it. Must never load
// uWebSockets.js: the thread has a bound on its memory, and reaching it must end nothing else.
import { parentPort } from "node:worker_threads";
import { runThreadJob, type ThreadJob } from "./load-job.ts";

parentPort?.on("message", (job: ThreadJob) => parentPort?.postMessage(runThreadJob(job))); // load-thread.ts sends them
