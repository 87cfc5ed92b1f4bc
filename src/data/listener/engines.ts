// Chooses the engine of a listener. The node engine is loaded only when a listener asks for it.
import type { ListenerPlan } from "../../plan/listener-plan.ts";
import type { Listener, ListenerHost } from "./listener.ts";
import { uwsEngine } from "./uws-engine.ts";

/** @throws OperatorError when the address cannot be used. */
export async function openListener(plan: ListenerPlan, host: ListenerHost): Promise<Listener> {
  if (plan.engine === "uws") return uwsEngine.open(plan, host);
  const { nodeEngine } = await import("./node-engine.ts");
  return nodeEngine.open(plan, host);
}
