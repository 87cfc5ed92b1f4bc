// Owns the comparison of what the response store counts for each account with what lies in its rings and its index. Nobody may change the store meanwhile.
import { Accounts } from "../../src/shared/cache/accounts.ts";
import { StoreIndex } from "../../src/shared/cache/index.ts";
import { ACCOUNT, ACCOUNT_WORDS, ACCOUNTS, HEAD, REC, STATE_FILLER, WAYS } from "../../src/shared/cache/layout.ts";
import { Records } from "../../src/shared/cache/records.ts";

/** @returns what does not agree; empty when all does */
export function auditAccounts(buffer: SharedArrayBuffer): readonly string[] {
  const records = new Records(buffer);
  const { unitsSmall, unitsMain } = records.layout;
  const accounts = new Accounts(records);
  const counted = Array.from({ length: ACCOUNTS }, () => ({ small: 0, main: 0, objects: 0, unitsLive: 0 }));
  const faults: string[] = [];
  const walk = (ring: "small" | "main", from: number, to: number): void => {
    let at = from;
    let used = 0;
    while (at < to) {
      const size = records.get(at, REC.size);
      if (size < 1) return void faults.push(`the ${ring} ring cannot be walked beyond ${at}`);
      if (records.get(at, REC.state) !== STATE_FILLER) {
        counted[records.get(at, REC.account)]![ring] += accounts.cost(size);
        used += size;
      }
      at += size;
    }
    if (records.words[HEAD[ring === "small" ? "usedSmall" : "usedMain"]] !== used)
      faults.push(`${used} units of the ${ring} ring are used`);
    if (at !== to) faults.push(`the ${ring} ring ends at ${at}, not ${to}`);
  };
  walk("small", 0, unitsSmall);
  walk("main", unitsSmall, unitsSmall + unitsMain);
  const index = new StoreIndex(records);
  for (let entry = index.bucket(0), i = 0; i < index.buckets * WAYS; i++, entry += 2) {
    const unit = index.anyUnitIn(entry);
    if (unit < 0) continue;
    const account = counted[records.get(unit, REC.account)]!;
    account.objects++;
    account.unitsLive += records.get(unit, REC.size);
  }
  const sum = { objects: 0, unitsLive: 0 };
  for (const [account, found] of counted.entries()) {
    const at = records.layout.accounts + account * ACCOUNT_WORDS;
    for (const word of ["small", "main", "objects", "unitsLive"] as const) {
      const said = records.words[at + ACCOUNT[word]];
      if (said !== found[word]) faults.push(`account ${account}: ${word} is ${found[word]}, counted as ${said}`);
    }
    sum.objects += found.objects;
    sum.unitsLive += found.unitsLive;
  }
  for (const word of ["objects", "unitsLive"] as const)
    if (records.words[HEAD[word]] !== sum[word]) faults.push(`${word} is ${sum[word]}, counted as ${records.words[HEAD[word]]}`);
  return faults;
}
