// bcrypt and apr1 against the vectors that crypt_blowfish, jBCrypt and Apache publish, each confirmed with libxcrypt and OpenSSL.
import { describe, expect, it } from "vitest";
import { parseForeignHash } from "../../../src/data/credentials/foreign-hash.ts";
import { digitsOfPi } from "../../../src/offload/bcrypt.ts";
import { checkPassword } from "../../../src/offload/password-task.ts";

function fits(password: string, stored: string): boolean {
  const parsed = parseForeignHash(stored);
  if (parsed === null) throw new Error(`${stored} cannot be read`);
  const { scheme, salt, hash } = parsed;
  return checkPassword({ password, scheme: scheme.scheme, cost: "cost" in scheme ? scheme.cost : 0, salt, hash });
}

it("Blowfish begins with the digits of pi, from its first subkey to the last word of its last S-box", () => {
  const words = digitsOfPi(1042);
  const hex = (i: number) => ((words[i] ?? 0) >>> 0).toString(16).padStart(8, "0");
  // Schneier's table: P[0], P[17], S[0][0], S[3][255].
  expect([0, 17, 18, 1041].map(hex)).toEqual(["243f6a88", "8979fb1b", "d1310ba6", "3ac372e6"]);
});

const SEVENTY_TWO = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

describe("bcrypt", () => {
  it.each([
    ["U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"],
    ["U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"],
    ["U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"],
    [`${SEVENTY_TWO}chars after 72 are ignored`, "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"],
    [SEVENTY_TWO, "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"],
    ["", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"],
    ["", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."],
    ["a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"],
    ["abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"],
    ["abcdefghijklmnopqrstuvwxyz", "$2a$06$.rCVZVOThsIa97pEDOxvGuRRgzG64bvtJ0938xuqzv18d3ZpQhstC"],
    ["~!@#$%^&*()      ~!@#$%^&*()PNBFRD", "$2a$06$fPIsBO8qRqkjj273rfaOI.HtSV9jLDpTbZn782DC6/t7qT67P6FfO"],
    ["", "$2a$08$HqWuK6/Ng6sg9gQzbLrgb.Tl.ZHfXLhvt/SgVyWhQqgqcZ7ZuUtye"],
    ["a", "$2a$10$k87L/MF28Q673VKh8/cPi.SUl7MU/rWuSiIDDFayrKk/1tBsSQu4u"],
    ["abc", "$2a$12$EXRkfkdmXn2gzds2SSitu.MW9.gAVqa9eLS1//RYtYCmB1eLHg.9q"],
    ["pässwörd", "$2b$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC"],
    ["myPassword", "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC"],
  ])("%s fits %s, and nothing else does", (password, stored) => {
    expect(fits(password, stored)).toBe(true);
    expect(fits(`${password.slice(0, 3)}x`, stored)).toBe(false);
  });

  it("$2a$, $2b$ and $2y$ are one algorithm", () => {
    for (const minor of ["a", "b", "y"])
      expect(fits("U*U", `$2${minor}$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW`)).toBe(true);
  });
});

describe("apr1 and {SHA}", () => {
  it.each([
    ["myPassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"],
    ["", "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie."],
    ["a", "$apr1$abcdefgh$G8IsPsylW5ROvIKsQMRG61"],
    ["0123456789abcdef", "$apr1$abcdefgh$sxHfOFLANAYXeGF./FBFh."],
    ["0123456789abcdefg", "$apr1$abcdefgh$1EmOoQBtUQ/xoE6y2eLUr/"],
    ["a rather long password, of more than thirty-two characters", "$apr1$abcdefgh$/NncKzoKAVsqcgUNwEldA1"],
    ["p:w", "$apr1$x$Ws0uXRZ9vyICcz2HEeYsC1"],
    ["pässwörd", "$apr1$ab$J/pyQu7p0O5KCJfor.v6Y/"],
    ["myPassword", "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE="],
  ])("%s fits %s, and nothing else does", (password, stored) => {
    expect(fits(password, stored)).toBe(true);
    expect(fits(`${password}x`, stored)).toBe(false);
  });
});
