// A certified provider of OpenID Connect that we did not write, for people who log in and services that come with tokens. It prints its
// address, and ends when its standard input does.
//
//   node oidc_provider.mjs FOLDER      FOLDER: where its package is installed
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(pathToFileURL(`${process.argv[2]}/node_modules/`));
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const key = (kid, alg, type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
};
const server = createServer().listen(0, '127.0.0.1');
await new Promise((listening) => server.once('listening', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const audience = 'https://steward.example.org';

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'steward',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback'],
      id_token_signed_response_alg: process.argv[3] ?? 'EdDSA',
    },
    {
      client_id: 'robot',
      client_secret: 'not so secret',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    },
  ],
  jwks: {
    keys: [
      key('ed', 'EdDSA', 'ed25519'),
      key('ec', 'ES256', 'ec', { namedCurve: 'P-256' }),
      key('rs', 'RS256', 'rsa', { modulusLength: 2048 }),
      key('ps', 'PS256', 'rsa', { modulusLength: 2048 }),
    ],
  },
  enabledJWA: { idTokenSigningAlgValues: ['EdDSA', 'ES256', 'RS256', 'PS256'] },
  cookies: { keys: ['for this run alone'] },
  features: {
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ audience, scope: '', accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
    },
  },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
server.on('request', provider.callback());
console.log(issuer);
process.stdin.resume().on('end', () => process.exit(0));
