// Owns the interface of a balancer and the rules that all of them share. Must never look at health: members that come here are available.
import type { RequestView } from "../../routing/request-view.ts";
import type { Member } from "../endpoint-set.ts";
import type { Endpoint } from "../upstream.ts";

/** Chooses among available members. One for each upstream and worker. */
export interface Balancer {
  /**
   * The available members or their weights changed. May allocate.
   * @param available not empty, weights above 0.
   * @param all every member, available or not, in the order of the list.
   */
  rebuild(available: readonly Member[], all: readonly Member[]): void;
  /**
   * Chooses: not one that is at its in-flight limit while another has room. Allocates nothing.
   * @param tried avoided while another available member exists; null or empty for a first attempt.
   */
  pick(x: RequestView, tried: readonly Endpoint[] | null): Member;
}

/** @returns true when the exchange used this endpoint already. */
export const isTried = (member: Endpoint, tried: readonly Endpoint[] | null): boolean => tried?.includes(member) ?? false;

/**
 * Instead of a choice that was tried or is at its in-flight limit, where time matters less: the first untried member from a start index on that has
 * room. Where none has, the choice itself, or if that was tried an untried one, if there is any.
 */
export function instead(available: readonly Member[], start: number, tried: readonly Endpoint[] | null, choice: Member): Member {
  const count = available.length;
  let untried: Member | null = isTried(choice, tried) ? null : choice;
  for (let i = 0; i < count; i += 1) {
    const member = memberAt(available, (start + i) % count);
    if (isTried(member, tried)) continue;
    if (!member.full) return member;
    untried ??= member;
  }
  return untried ?? choice;
}

/** @returns whether all weights are the same, so that cheaper ways of choosing are right. */
export const equalWeights = (members: readonly Member[]): boolean => members.every((member) => member.weight === members[0]?.weight);

/** The member at an index that is known to exist. @throws RangeError never, when the balancer's contract (not empty) is kept. */
export function memberAt(members: readonly Member[], index: number): Member {
  const member = members[index];
  if (member === undefined) throw new RangeError(`no member ${index} of ${members.length}`);
  return member;
}
