// An OpenID provider (npm oidc-provider) in memory, one process: node server.js PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI
// GET /codes?count=N&challenge=C answers N authorization codes, as if somebody had consented N times.

import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import Provider from 'oidc-provider';

const [port, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const scope = 'openid offline_access';

class Memory {
  static entries = new Map();

  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    Memory.entries.set(this.key(id), payload);
  }

  async find(id) {
    return Memory.entries.get(this.key(id));
  }

  async consume(id) {
    Memory.entries.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    Memory.entries.delete(this.key(id));
  }

  async revokeByGrantId() {}

  async findByUid() {}

  async findByUserCode() {}
}

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const provider = new Provider(`http://localhost:${port}`, {
  adapter: Memory,
  clients: [{
    client_id: clientId,
    client_secret: clientSecret,
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_post',
  }],
  cookies: { keys: ['benchmark'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
  },
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, AuthorizationCode: 60, ClientCredentials: 3600, Grant: 3600, IdToken: 3600, RefreshToken: 3600 },
});

async function newCode(client, codeChallenge) {
  const grant = new provider.Grant({ accountId: 'somebody', clientId });
  grant.addOIDCScope(scope);
  const code = new provider.AuthorizationCode({
    accountId: 'somebody', authTime: Math.floor(Date.now() / 1000), client, codeChallenge, codeChallengeMethod: 'S256',
    grantId: await grant.save(), redirectUri, scope,
  });
  return code.save();
}

async function codes(url) {
  const client = await provider.Client.find(clientId);
  const count = Number(url.searchParams.get('count'));
  return Promise.all(Array.from({ length: count }, () => newCode(client, url.searchParams.get('challenge'))));
}

const answer = provider.callback();
http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/codes') {
    response.end(JSON.stringify(await codes(url)));
  } else {
    answer(request, response);
  }
}).listen(Number(port), '127.0.0.1');
