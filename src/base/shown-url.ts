// Owns how a URL or a path is shown to people: without what may be a credential in it. Pure.

/** A URL's user and password, and what stands behind `?` of a URL or a path. */
const USER = /^([a-z][a-z0-9+.-]*:\/\/)[^/?#@]*@/i;
const QUERY = /^((?:[a-z][a-z0-9+.-]*:\/|\/)[^?#]*\?)[^#]+/i;

/** @returns the text with `***` for a user and password, and for a query; other texts as they are */
export const shownUrl = (text: string): string => text.replace(USER, "$1***@").replace(QUERY, "$1***");
