// Stands for the package `redis` of npm where none can be fetched: the three commands that docs/message-contract.md needs, to a real server.
import { connect } from "node:net";

/** A client for redis://user:password@host:port/database, to be connected. */
export function createClient({ url }) {
  const { hostname, port, username, password, pathname } = new URL(url);
  const waiting = [];
  let received = Buffer.alloc(0);
  const socket = connect(Number(port), hostname);

  socket.on("data", (data) => {
    received = Buffer.concat([received, data]);
    for (let reply; (reply = parsed(received)); received = received.subarray(reply.length)) waiting.shift()(reply);
  });

  function ask(...words) {
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    socket.write(`*${words.length}\r\n${parts.join("")}`);
    return new Promise((resolve, reject) => {
      waiting.push(({ error, value }) => (error ? reject(new Error(error)) : resolve(value)));
    });
  }

  return {
    async connect() {
      if (password) await ask("AUTH", ...[username, password].filter(Boolean).map(decodeURIComponent));
      await ask("SELECT", pathname.slice(1) || "0");
      return this;
    },
    lPush: (key, value) => ask("LPUSH", key, value),
    get: (key) => ask("GET", key),
    close: () => socket.end(),
  };
}

/** The first reply in the bytes, with its length; nothing while it is not whole. */
function parsed(bytes) {
  const end = bytes.indexOf("\r\n");
  if (end < 0) return undefined;
  const kind = String.fromCharCode(bytes[0]);
  const line = bytes.toString("utf8", 1, end);
  if (kind === "-") return { error: line, length: end + 2 };
  if (kind !== "$" || line === "-1") return { value: line === "-1" ? null : line, length: end + 2 };
  const length = end + 2 + Number(line) + 2;
  return bytes.length < length ? undefined : { value: bytes.toString("utf8", end + 2, length - 2), length };
}
