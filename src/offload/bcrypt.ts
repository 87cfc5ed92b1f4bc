// Owns bcrypt (Provos and Mazieres, "A Future-Adaptable Password Scheme", 1999) as OpenBSD's `$2b$` has it, for checking hashes that people bring along;
// Node has none. Slow by intention, and synchronous: only for a thread that may block. Must never be how new passwords are hashed.
//
// Measured (CPU time, 2 cores shared with others): 2 ms a check at cost 5, 55 ms at cost 10, 215 ms at cost 12.

const ROUNDS = 16;
/** Words of the subkeys, and of one S-box. */
const P_WORDS = ROUNDS + 2;
const S_WORDS = 256;
/** Of a password, its terminating zero byte included, as every implementation has it. */
const PASSWORD_BYTES_MAX = 72;
export const BCRYPT_SALT_BYTES = 16;
/** Of the 24 that are worked out; the last one is left out. */
export const BCRYPT_HASH_BYTES = 23;
/** What is encrypted: `OrpheanBeholderScryDoubt`, so often. */
const TEXT = new Int32Array([0x4f727068, 0x65616e42, 0x65686f6c, 0x64657253, 0x63727944, 0x6f756274]);
const TEXT_ROUNDS = 64;

interface State {
  readonly p: Int32Array;
  /** The four S-boxes in a row. */
  readonly s: Int32Array;
}

/**
 * The digits of pi with which Blowfish begins (Schneier 1993): 1042 words behind the point, worked out when first used (some 70 ms, Machin's formula)
 * rather than written down.
 */
export function digitsOfPi(words: number): Int32Array {
  const spare = 64n; // of bits, for what the divisions lose
  const one = 1n << (BigInt(words) * 32n + spare);
  const arctanOfInverse = (n: bigint): bigint => {
    let power = one / n;
    let sum = power;
    for (let k = 3n, sign = -1n; power > 0n; k += 2n, sign = -sign) {
      power /= n * n;
      sum += (sign * power) / k;
    }
    return sum;
  };
  const fraction = (16n * arctanOfInverse(5n) - 4n * arctanOfInverse(239n) - 3n * one) >> spare;
  const bytes = Buffer.from(fraction.toString(16).padStart(words * 8, "0"), "hex");
  return Int32Array.from({ length: words }, (_, i) => bytes.readInt32BE(i * 4));
}

let initial: Int32Array | null = null;

function initialState(): State {
  initial ??= digitsOfPi(P_WORDS + 4 * S_WORDS);
  return { p: initial.slice(0, P_WORDS), s: initial.slice(P_WORDS) };
}

/** Encrypts the two words at an offset, in place. */
function encipher({ p, s }: State, words: Int32Array, at: number): void {
  // The casts: every index is inside its table, as a byte or a round is.
  let left = (words[at] as number) ^ (p[0] as number);
  let right = words[at + 1] as number;
  for (let i = 1; i <= ROUNDS; i += 2) {
    right ^=
      (p[i] as number) ^
      (((((s[left >>> 24] as number) + (s[256 + ((left >>> 16) & 255)] as number)) ^ (s[512 + ((left >>> 8) & 255)] as number)) +
        (s[768 + (left & 255)] as number)) |
        0);
    left ^=
      (p[i + 1] as number) ^
      (((((s[right >>> 24] as number) + (s[256 + ((right >>> 16) & 255)] as number)) ^ (s[512 + ((right >>> 8) & 255)] as number)) +
        (s[768 + (right & 255)] as number)) |
        0);
  }
  words[at] = right ^ (p[ROUNDS + 1] as number);
  words[at + 1] = left;
}

/** Bytes over and over, as so many words. */
function repeated(bytes: Uint8Array, words: number): Int32Array {
  let at = 0;
  return Int32Array.from({ length: words }, () => {
    let word = 0;
    for (let i = 0; i < 4; i++) {
      word = (word << 8) | (bytes[at] ?? 0);
      at = (at + 1) % bytes.length;
    }
    return word;
  });
}

/** ExpandKey of the paper. @param key of P_WORDS. @param salt 4 words; null for zeros */
function expandKey(state: State, key: Int32Array, salt: Int32Array | null): void {
  const block = new Int32Array(2);
  let at = 0;
  const next = (table: Int32Array, i: number): void => {
    if (salt !== null) {
      block[0] = (block[0] as number) ^ (salt[at] as number);
      block[1] = (block[1] as number) ^ (salt[at + 1] as number);
      at ^= 2;
    }
    encipher(state, block, 0);
    table[i] = block[0] as number;
    table[i + 1] = block[1] as number;
  };
  for (let i = 0; i < P_WORDS; i++) state.p[i] = (state.p[i] as number) ^ (key[i] as number);
  for (let i = 0; i < P_WORDS; i += 2) next(state.p, i);
  for (let i = 0; i < 4 * S_WORDS; i += 2) next(state.s, i);
}

/**
 * @param password bytes, without a zero among them
 * @param salt of BCRYPT_SALT_BYTES
 * @param cost log2 of the rounds, 4 to 31
 * @returns BCRYPT_HASH_BYTES
 */
export function bcrypt(password: Uint8Array, salt: Uint8Array, cost: number): Buffer {
  const key = repeated(Buffer.concat([password, new Uint8Array(1)]).subarray(0, PASSWORD_BYTES_MAX), P_WORDS);
  const saltKey = repeated(salt, P_WORDS);
  const state = initialState();
  expandKey(state, key, saltKey.subarray(0, 4));
  for (let i = 2 ** cost; i > 0; i--) {
    expandKey(state, key, null);
    expandKey(state, saltKey, null);
  }
  const text = TEXT.slice();
  for (let at = 0; at < text.length; at += 2) for (let i = 0; i < TEXT_ROUNDS; i++) encipher(state, text, at);
  const bytes = Buffer.alloc(text.length * 4);
  for (const [i, word] of text.entries()) bytes.writeInt32BE(word, i * 4);
  return bytes.subarray(0, BCRYPT_HASH_BYTES);
}
