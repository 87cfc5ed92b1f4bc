// Owns the Huffman code of HPACK (RFC 7541 section 5.2, appendix B): decoding by a table, four bits a step. Must never allocate while decoding.

/**
 * Length in bits of the code of each byte, 0 to 255, as base-36 digits. The code is canonical: codes of one length are consecutive, in the order of their
 * bytes, so that lengths say all. EOS, which must not occur, is 30 ones.
 */
const LENGTHS =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca" +
  "d67777777777777777777777878djde6f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn" +
  "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq";

const EOS = 256;
const EOS_BITS = 30;

/** Entry of the table: next state in the low 8 bits, the byte in the next 8, then these. */
const EMITS = 1 << 16;
const FAILS = 1 << 17;

/** 256 states (the inner nodes of the tree; the root is 0) of 16 entries. */
const STEPS = new Int32Array(256 * 16);
/** Whether a string may end in a state: what is left is at most 7 ones (RFC 7541 section 5.2). */
const MAY_END = new Uint8Array(256);

buildTable();

function buildTable(): void {
  const children: [number, number][] = [[-1, -1]]; // >= 0: a node; <= -2: a leaf of the symbol -2 - n
  let code = 0;
  let lastBits = 0;
  const insert = (symbol: number, bits: number): void => {
    code <<= bits - lastBits;
    lastBits = bits;
    let node = 0;
    for (let bit = bits - 1; bit >= 0; bit--) {
      const pair = children[node] as [number, number]; // node was made below
      const side = (code >>> bit) & 1;
      if (bit === 0) pair[side] = -2 - symbol;
      else {
        if (pair[side] === -1) pair[side] = children.push([-1, -1]) - 1;
        node = pair[side] as number; // a pair
      }
    }
    code++;
  };
  for (let bits = 5; bits < EOS_BITS + 1; bits++) {
    for (let symbol = 0; symbol < 256; symbol++) if (Number.parseInt(LENGTHS[symbol] as string, 36) === bits) insert(symbol, bits);
  }
  insert(EOS, EOS_BITS);
  children.forEach((_, state) => {
    for (let nibble = 0; nibble < 16; nibble++) STEPS[state * 16 + nibble] = stepOf(children, state, nibble);
  });
  for (let depth = 0, node = 0; depth < 8; depth++) {
    MAY_END[node] = 1;
    node = (children[node] as [number, number])[1]; // the path of ones is 30 long
  }
}

function stepOf(children: readonly (readonly [number, number])[], state: number, nibble: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = (children[node] as readonly [number, number])[(nibble >>> bit) & 1] as number; // a pair
    if (next >= 0) node = next;
    else {
      if (next === -2 - EOS) return FAILS;
      emitted = EMITS | ((-2 - next) << 8);
      node = 0;
    }
  }
  return emitted | node;
}

/**
 * @param out takes at most 8/5 of the bytes that are decoded: the caller has the room
 * @returns how many bytes were written from 0 on; -1 for a string that is no such code (RFC 7541 section 5.2)
 */
export function decodeHuffman(source: Buffer, from: number, to: number, out: Buffer): number {
  let state = 0;
  let at = 0;
  for (let i = from; i < to; i++) {
    const byte = source[i]!; // in range
    let step = STEPS[state * 16 + (byte >>> 4)]!; // a state and a nibble
    if ((step & EMITS) !== 0) out[at++] = step >>> 8;
    else if ((step & FAILS) !== 0) return -1;
    step = STEPS[(step & 255) * 16 + (byte & 15)]!; // the same
    if ((step & EMITS) !== 0) out[at++] = step >>> 8;
    else if ((step & FAILS) !== 0) return -1;
    state = step & 255;
  }
  return MAY_END[state] === 1 ? at : -1;
}
