// Owns freezing plain data through and through, so that who is given it cannot change what others see. Pure.

/** @param value JSON, by itself: no part of it is part of something else. @returns the same */
export function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const each of Object.values(value)) frozen(each);
  return Object.freeze(value);
}
