// Starts looks into the fleet's Redis for one route: in front of a question to the origin, or by themselves for requests that fill nothing.
import type { Exchange } from "../exchange/exchange.ts";
import { Fill } from "./fill.ts";
import type { FillContext, FillOrder } from "./fill-context.ts";
import type { FillTable, RunningFill } from "./fill-table.ts";
import type { RouteTier } from "./route-tier.ts";
import { TierLook } from "./tier-look.ts";

export type FillKind = ConstructorParameters<typeof Fill>[2];

export interface LookOrder {
  readonly order: FillOrder;
  readonly context: FillContext;
  readonly tier: RouteTier;
  /** Name of what is looked for, among what is under way. */
  readonly id: string;
  /** Of the question that follows; null: none does. */
  readonly kind: FillKind | null;
  readonly fills: FillTable;
  /** It has been looked for: answers one who has waited. */
  looked(x: Exchange): void;
}

/** @param course what the request has waited for already: one look for each thing, and none for who is answered by this worker in any case */
export const mayLook = (
  tier: RouteTier | null,
  { alone, looked }: { readonly alone: boolean; readonly looked: string },
  id: string,
): tier is RouteTier => tier?.isUsable === true && !alone && looked !== id;

/** @returns what stands in the place of the question, to be started */
export function lookFirst({ order, context, tier, id, kind, fills, looked }: LookOrder): TierLook {
  const ask = (order: FillOrder, how: FillKind): Fill => {
    const fill = new Fill(order, context, how);
    fills.set(id, fill);
    return fill;
  };
  return new TierLook(order, {
    tier,
    context,
    isBackground: kind?.background === true,
    looked,
    ask: kind === null ? null : (order) => ask(order, kind),
  });
}

/** @param running the look of others for the same; it is joined */
export function lookAlone(look: LookOrder, running: RunningFill | undefined): void {
  const { x, route } = look.order;
  if (running?.isOpen === true) return running.join(x, route);
  const own = lookFirst(look);
  look.fills.set(look.id, own);
  own.join(x, route);
  own.start();
}
