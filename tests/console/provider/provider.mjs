// A certified OpenID provider on loopback: `node provider.mjs MODULES REDIRECT_URI` says its issuer on the first line.
// Whoever signs in as `NAME` is `NAME@acme.test`, in the group that stands before the dash of the name.
import http from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, redirect] = process.argv.slice(2);
const found = createRequire(`${modules}/package.json`).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(found));

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: "wicket", client_secret: "not-secret-in-a-test", redirect_uris: [redirect] }],
    claims: { openid: ["sub", "groups"], email: ["email", "email_verified"] },
    findAccount: async (_, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, email: `${id}@acme.test`, email_verified: true, groups: [id.split("-")[0]] }),
    }),
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
process.stdin.on("end", () => process.exit(0)).resume();
