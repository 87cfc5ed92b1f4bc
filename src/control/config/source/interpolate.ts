// Owns `${VAR}` and `${VAR:-default}` in scalars. Pure; the environment is passed in.

/** The environment as the loader sees it. */
export type Env = Readonly<Record<string, string | undefined>>;

/** @property text what came out. @property missing names without value or default. @property malformed a `${` that is neither form. */
export interface Interpolation {
  readonly text: string;
  readonly changed: boolean;
  readonly missing: readonly string[];
  readonly malformed: boolean;
}

const REFERENCE = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{/g;

/**
 * Replaces references. As in a shell, the default is taken when the variable is unset or empty; without a default
 * an empty variable is an empty text. `$${` stands for a literal `${`. Values are not scanned again.
 */
export function interpolate(text: string, env: Env): Interpolation {
  if (!text.includes("${")) return { text, changed: false, missing: [], malformed: false };
  const missing: string[] = [];
  let malformed = false;
  const out = text.replace(REFERENCE, (whole: string, name: string | undefined, fallback: string | undefined) => {
    if (whole === "$${") return "${";
    if (name === undefined) {
      malformed = true;
      return whole;
    }
    const value = env[name];
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
    if (value === undefined) missing.push(name);
    return value ?? "";
  });
  return { text: out, changed: true, missing, malformed };
}
