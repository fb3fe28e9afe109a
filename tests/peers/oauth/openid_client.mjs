// openid-client: discovery, code flow with PKCE, userinfo, refresh, introspection, revocation, client credentials.
// node openid_client.mjs ISSUER CLIENT_ID SECRET|- CALLBACK USERNAME PASSWORD METHOD

import * as client from "openid-client";
import { Person } from "./person.mjs";

const [issuer, clientId, secret, callback, username, password, method] = process.argv.slice(2);
const authentication = {
  basic: () => client.ClientSecretBasic(secret),
  post: () => client.ClientSecretPost(secret),
  none: () => client.None(),
}[method]();

const report = {};
for (const algorithm of ["oidc", "oauth2"]) {
  const config = await client.discovery(new URL(issuer), clientId, {}, authentication, {
    algorithm, execute: [client.allowInsecureRequests],
  });
  client.enableNonRepudiationChecks(config);
  const verifier = client.randomPKCECodeVerifier();
  const [state, nonce] = [client.randomState(), client.randomNonce()];
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: callback, scope: "openid email profile offline_access", state, nonce, max_age: "3600",
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  });
  const back = await new Person(username, password).allow(address, callback);
  const tokens = await client.authorizationCodeGrant(config, back, {
    pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 3600, idTokenExpected: true,
  });
  const { sub } = tokens.claims();
  const person = await client.fetchUserInfo(config, tokens.access_token, sub);
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
  if (refreshed.claims().sub !== sub) throw new Error("another sub after the refresh");
  const result = { email: person.email, name: person.name };
  if (method !== "none") {
    result.before = (await client.tokenIntrospection(config, refreshed.access_token)).active;
    await client.tokenRevocation(config, refreshed.refresh_token);
    result.after = (await client.tokenIntrospection(config, refreshed.access_token)).active;
    const own = await client.clientCredentialsGrant(config);
    result.own = (await client.tokenIntrospection(config, own.access_token)).sub;
  } else {
    await client.tokenRevocation(config, refreshed.refresh_token);
  }
  try {
    await client.refreshTokenGrant(config, refreshed.refresh_token);
  } catch (error) {
    result.refused = error.error;
  }
  report[algorithm] = result;
}
console.log(JSON.stringify(report));
