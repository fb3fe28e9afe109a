// oauth4webapi: the same flow, with the strict checks of each response and of the id_token's signature.
// node oauth4webapi.mjs ISSUER CLIENT_ID SECRET CALLBACK USERNAME PASSWORD

import * as oauth from "oauth4webapi";
import { Person } from "./person.mjs";

const [issuer, clientId, secret, callback, username, password] = process.argv.slice(2);
const insecure = { [oauth.allowInsecureRequests]: true };
const client = { client_id: clientId };
const authentication = oauth.ClientSecretBasic(secret);

const identifier = new URL(issuer);
const server = await oauth.processDiscoveryResponse(
  identifier, await oauth.discoveryRequest(identifier, { algorithm: "oidc", ...insecure }));
if (!server.authorization_response_iss_parameter_supported) throw new Error("no RFC 9207");

const verifier = oauth.generateRandomCodeVerifier();
const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
const address = new URL(server.authorization_endpoint);
address.search = new URLSearchParams({
  client_id: clientId, redirect_uri: callback, response_type: "code", scope: "openid email offline_access", state, nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
});
const person = new Person(username, password);
const parameters = oauth.validateAuthResponse(server, client, await person.allow(address, callback), state);

const granted = await oauth.authorizationCodeGrantRequest(
  server, client, authentication, parameters, callback, verifier, insecure);
const tokens = await oauth.processAuthorizationCodeResponse(server, client, granted, {
  expectedNonce: nonce, requireIdToken: true,
});
await oauth.validateApplicationLevelSignature(server, granted, insecure);
const { sub } = oauth.getValidatedIdTokenClaims(tokens);

const told = await oauth.processUserInfoResponse(
  server, client, sub, await oauth.userInfoRequest(server, client, tokens.access_token, insecure));

const refreshed = await oauth.processRefreshTokenResponse(
  server, client, await oauth.refreshTokenGrantRequest(server, client, authentication, tokens.refresh_token, insecure));

const introspect = async (token) => oauth.processIntrospectionResponse(
  server, client, await oauth.introspectionRequest(server, client, authentication, token, insecure));
const before = (await introspect(refreshed.access_token)).active;
await oauth.processRevocationResponse(
  await oauth.revocationRequest(server, client, authentication, refreshed.refresh_token, insecure));
const after = (await introspect(refreshed.access_token)).active;

const own = await oauth.processClientCredentialsResponse(
  server, client, await oauth.clientCredentialsGrantRequest(server, client, authentication, {}, insecure));

let wrongSecret;
try {
  await oauth.processClientCredentialsResponse(server, client, await oauth.clientCredentialsGrantRequest(
    server, client, oauth.ClientSecretBasic("wrong"), {}, insecure));
} catch (error) {
  wrongSecret = error.cause?.[0]?.scheme ?? error.error;
}

console.log(JSON.stringify({ email: told.email, before, after, own: own.token_type, wrongSecret }));
