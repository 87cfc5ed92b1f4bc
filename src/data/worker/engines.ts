// Chooses the engine of a listener, and puts together what the net engine is made of. What not every plan needs is loaded when a listener asks for it.
import type { ListenerPlan } from "../../plan/listener-plan.ts";
import type { Listener, ListenerHost } from "../listener/listener.ts";
import { uwsEngine } from "../listener/uws/engine.ts";

/** @throws OperatorError when the address cannot be used. */
export async function openListener(plan: ListenerPlan, host: ListenerHost): Promise<Listener> {
  switch (plan.engine) {
    case "uws":
      return uwsEngine.open(plan, host);
    case "net": {
      const { NetListener } = await import("../listener/net/engine.ts");
      const { protocols } = await import("./protocols.ts");
      return NetListener.open(plan, host, protocols);
    }
  }
}
