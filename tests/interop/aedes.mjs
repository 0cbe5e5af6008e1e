// Serves aedes on the ports and the path that its argument names, as JSON: see brokers.py.
import { createRequire } from "node:module";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const wanted = JSON.parse(process.argv[2]);
const require = createRequire(join(wanted.packages, "package.json"));
const { Aedes } = await import(pathToFileURL(require.resolve("aedes")));
const { WebSocketServer, createWebSocketStream } = require("ws");

const broker = await Aedes.createBroker();
const own = { cert: readFileSync(wanted.certificate), key: readFileSync(wanted.key) };
const strict = { ...own, ca: readFileSync(wanted.ca), requestCert: true, rejectUnauthorized: true };

function websockets(server) {
  const options = { server, handleProtocols: () => "mqtt" };
  new WebSocketServer(options).on("connection", (socket, request) =>
    broker.handle(createWebSocketStream(socket), request),
  );
  return server;
}

const servers = {
  tcp: net.createServer(broker.handle),
  tls: tls.createServer(own, broker.handle),
  mutual: tls.createServer(strict, broker.handle),
  ws: websockets(http.createServer()),
  wss: websockets(https.createServer(own)),
};
for (const [name, server] of Object.entries(servers)) {
  server.listen(wanted[name], "127.0.0.1");
}
net.createServer(broker.handle).listen(wanted.unix);
