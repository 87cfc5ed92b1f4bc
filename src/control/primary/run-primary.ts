// Begins the life of the primary: the first configuration, what has to be set before any worker loads, and the primary itself.
import { PlanSource } from "../plan/plan-source.ts";
import { firstConfig } from "./first-config.ts";
import { Primary, type PrimaryOptions } from "./primary.ts";

/** Room beyond headerBytes and uriBytes in the native parser, so that the gateway itself, with a proper answer, refuses what is too large. */
const HEAD_SLACK_BYTES = 4096;

/** @returns the exit status, when everything is closed. @throws OperatorError when it cannot start. */
export async function runPrimary(options: PrimaryOptions): Promise<number> {
  const source = new PlanSource({
    files: options.files,
    piped: options.piped,
    env: options.io.env,
    picked: options.link.orders.ports,
    warn: (message) => options.log.warn(message),
    slots: {
      metricSlot: (name) => primary.totals.routeNames.slot(name),
      limitSlot: (name) => primary.totals.limitNames.slot(name),
      decisionSlot: (name) => primary.totals.decisionNames.slot(name),
      legSlot: (name) => primary.totals.legNames.slot(name),
      policySlot: (name) => primary.totals.policyNames.slot(name),
      tierSlot: (name) => primary.totals.tierNames.slot(name),
      breakerSlot: (name) => primary.breakerSlot(name),
      overloadSlot: (name) => primary.overloadSlot(name),
    },
  });
  const first = await firstConfig(source, options);
  if (first === null) {
    options.threads.discardIdle();
    return 1;
  }
  const { config } = first;
  // Before any worker loads the native addon: it reads the process's environment once.
  process.env["UWS_HTTP_MAX_HEADERS_SIZE"] = String(config.limits.headerBytes + config.limits.uriBytes + HEAD_SLACK_BYTES);
  const primary = new Primary(options, source, config);
  return await primary.run(first);
}
