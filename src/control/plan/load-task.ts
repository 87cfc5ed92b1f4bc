// The entry of the thread that loads a configuration: does its one job, answers and ends, and its memory goes with it. Must never load
// uWebSockets.js: the thread has a bound on its memory, and reaching it must end nothing else.
import { parentPort, workerData } from "node:worker_threads";
import { runThreadJob, type ThreadJob } from "./load-job.ts";

parentPort?.postMessage(runThreadJob(workerData as ThreadJob)); // load-thread.ts gave it
