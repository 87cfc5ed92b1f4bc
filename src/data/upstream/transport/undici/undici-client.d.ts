// Types for the one part of undici that the data plane loads. The whole package would bring fetch, WebSocket and a cache
// into every thread: 1.4 MB of bundle instead of 0.8, and a start-up that is 90 ms longer on a busy machine.
declare module "undici/lib/dispatcher/client.js" {
  import type { Client } from "undici";

  const client: typeof Client;
  export default client;
}
