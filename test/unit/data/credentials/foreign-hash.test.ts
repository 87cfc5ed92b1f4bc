// Which hashes of other programs are read, what is said of those that are not, and how an htpasswd file is read.
import { describe, expect, it } from "vitest";
import { readHtpasswd } from "../../../../src/data/credentials/htpasswd.ts";
import { isWeak, parsePasswordHash, passwordHashProblem } from "../../../../src/data/credentials/password-hash.ts";

const BCRYPT = "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC";
const APR1 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/";
const SHA = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";
const ARGON2 = `$argon2id$v=19$m=19456,t=2,p=1$${"A".repeat(22)}$${"B".repeat(43)}`;
const cost = (text: string) => BCRYPT.replace("$05$", `$${text}$`);
const OTHERWISE = "expected a hash of the password, as `sluice password hash` or `htpasswd -B` prints it";

describe("a stored hash", () => {
  it.each([
    [BCRYPT, null, false],
    [BCRYPT.replace("$2y", "$2a"), null, false],
    [BCRYPT.replace("$2y", "$2b"), null, false],
    [cost("04"), null, false],
    [cost("12"), null, false],
    [APR1, null, true],
    [SHA, null, true],
    [ARGON2, null, false],
    [cost("13"), "bcrypt of cost 13 takes too long for each check: at most 12", false],
    [cost("31"), "bcrypt of cost 31 takes too long for each check: at most 12", false],
    [cost("03"), "bcrypt has no cost 3", false],
    [BCRYPT.replace("$2y", "$2x"), "expected bcrypt as `$2a$`, `$2b$` or `$2y$`, its cost and 53 characters", false],
    [BCRYPT.slice(0, -1), "expected bcrypt as `$2a$`, `$2b$` or `$2y$`, its cost and 53 characters", false],
    [`${BCRYPT}x`, "expected bcrypt as `$2a$`, `$2b$` or `$2y$`, its cost and 53 characters", false],
    ["$1$abcdefgh$1EmOoQBtUQ/xoE6y2eLUr/", "MD5-crypt is not taken", false],
    ["$6$abcdefgh$1EmOoQBtUQ/xoE6y2eLUr/", "SHA-crypt is not taken", false],
    ["$y$j9T$abc$def", "yescrypt is not taken", false],
    ["{SSHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", "{SSHA} is not taken", false],
    ["{PLAIN}secret", "{PLAIN} is not taken", false],
    [SHA.slice(0, -1), OTHERWISE, false],
    [`${APR1}x`, OTHERWISE, false],
    ["rqXexS6ZhobKA", OTHERWISE, false],
    ["secret", OTHERWISE, false],
    ["", OTHERWISE, false],
  ])("%s: %s", (text, problem, weak) => {
    expect(passwordHashProblem(text)).toBe(problem);
    expect(parsePasswordHash(text) === null).toBe(problem !== null);
    expect(isWeak(text)).toBe(weak);
  });
});

describe("an htpasswd file", () => {
  it("has a user a line, with comments, blank lines, line ends of Windows and what nginx lets follow", () => {
    const text = `# users\n\nann:${BCRYPT}\r\nbe n:${ARGON2}:a comment\nc\u0061\u0308:${BCRYPT}  \n`;
    expect(readHtpasswd(text, false)).toEqual({
      users: [
        { username: "ann", password: BCRYPT },
        { username: "be n", password: ARGON2 },
        { username: "c\u00e4", password: BCRYPT },
      ],
      problems: [],
    });
  });

  const WEAK = "apr1 and {SHA} are weak: whoever gets the hash finds most passwords";
  it.each<[string, string, string[]]>([
    ["nothing", "", ["there is no user in it"]],
    ["comments only", "# ann:x\n", ["there is no user in it"]],
    ["no colon", `ann:${BCRYPT}\nsecret`, ["line 2: expected a user name, a colon and a hash"]],
    [
      "no name",
      `:${BCRYPT}`,
      [
        "line 1: the user name could not be a consumer's id: expected 1 to 256 characters without control characters, and no blanks at the ends",
      ],
    ],
    ["a user twice", `ann:${BCRYPT}\nann:${ARGON2}`, ["line 2: the user ann stands there twice"]],
    ["a user twice, spelt with other code points", `\u00e4:${BCRYPT}\na\u0308:${ARGON2}`, ["line 2: the user \u00e4 stands there twice"]],
    ["a plain password", "ann:secret", [`line 1: ann: ${OTHERWISE}`]],
    ["a costly hash", `ann:${cost("14")}`, ["line 1: ann: bcrypt of cost 14 takes too long for each check: at most 12"]],
    ["weak ones", `ann:${APR1}\nben:${SHA}`, [`line 1: ann: ${WEAK}`, `line 2: ben: ${WEAK}`]],
    ["many", "a\n".repeat(20), [1, 2, 3, 4, 5].map((line) => `line ${line}: expected a user name, a colon and a hash`)],
  ])("that has %s", (_, text, problems) => expect(readHtpasswd(text, false).problems).toEqual(problems));

  it("may have weak hashes where that is written", () =>
    expect(readHtpasswd(`ann:${APR1}\nben:${SHA}`, true)).toMatchObject({
      problems: [],
      users: [{ username: "ann" }, { username: "ben" }],
    }));

  it("has ten thousand users at most", () => {
    const text = Array.from({ length: 10_001 }, (_, i) => `u${i}:${BCRYPT}\n`).join("");
    expect(readHtpasswd(text, false).problems).toEqual(["line 10001: u10000: there are more than 10000 users"]);
  });
});
