// Keys, tokens, JWTs, capabilities.
import assert from 'node:assert/strict';
import { KEY, LISTENER, RESTRICTED, event, jwt, refused, state, test, until } from './runner.mjs';

test('connects with a native token', async (t) => {
  const details = await t.rest().auth.requestToken({ clientId: 'ann' });
  const client = await t.connected({ tokenDetails: details });
  assert.equal(client.auth.clientId, 'ann');
  assert.equal(details.keyName, 'app.key');
  assert.equal(details.expires - details.issued, 3_600_000);
});

test('connects with a JWT', async (t) => {
  const client = await t.connected({ token: jwt({ clientId: 'ann' }) });
  assert.equal(client.auth.clientId, 'ann');
});

test('connects with an authCallback that gives a token request', async (t) => {
  let asked = 0;
  const client = await t.connected({
    authCallback: (params, callback) => {
      asked += 1;
      t.rest().auth.createTokenRequest(params).then((request) => callback(null, request), callback);
    },
  });
  assert.equal(asked, 1);
  assert(client.connection.id);
});

test('a signed token request is accepted', async (t) => {
  const request = await t.rest().auth.createTokenRequest({ clientId: 'ann', ttl: 60_000 });
  const answer = await fetch(new URL(`/keys/${request.keyName}/requestToken`, t.url), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(request),
  });
  const details = await answer.json();
  assert.equal(details.clientId, 'ann');
  assert.equal(details.expires - details.issued, 60_000);
  await t.connected({ tokenDetails: details });
});

test('a token request is taken once', async (t) => {
  const request = await t.rest().auth.createTokenRequest();
  const send = () =>
    fetch(new URL(`/keys/${request.keyName}/requestToken`, t.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(request),
    });
  assert.equal((await send()).status, 201);
  const again = await send();
  assert.equal(again.status, 401);
  assert.equal((await again.json()).error.code, 40105);
});

test('a token request with an old timestamp or a wrong mac is refused', async (t) => {
  await refused(t.rest().auth.requestToken({ timestamp: 1 }), 40104, 401);
  await refused(t.rest({ key: 'app.key:wrong' }).auth.requestToken(), 40101, 401);
});

test('a token request with a client id gives a token of it', async (t) => {
  const details = await t.rest({ clientId: 'ann' }).auth.requestToken();
  assert.equal(details.clientId, 'ann');
  const client = await t.connected({ tokenDetails: details, clientId: 'ann' });
  assert.equal(client.auth.clientId, 'ann');
});

test('another client id than the token has is refused', async (t) => {
  const client = t.realtime({ token: jwt({ clientId: 'ann' }), clientId: 'bob' });
  const change = await event(client.connection, 'failed');
  assert.equal(change.reason.code, 40102);
});

test('an expired token fails without a way to renew it', async (t) => {
  const client = t.realtime({ token: jwt({ seconds: -60 }) });
  await event(client.connection, 'failed');
  assert.equal(client.connection.errorReason.code, 40171);
});

test('a token that ends is renewed and the connection resumed', async (t) => {
  const issued = [];
  const client = await t.connected({
    authCallback: (params, callback) => {
      issued.push(issued.length);
      t.time().then((now) => callback(null, jwt({ now, seconds: issued.length === 1 ? 25 : 3600 })), callback);
    },
  });
  const { id } = client.connection;
  const disconnected = event(client.connection, 'disconnected');
  await t.control('/clock', { advance: 26 });
  assert.equal((await disconnected).reason.code, 40142);
  await state(client.connection, 'connected');
  assert.equal(client.connection.id, id);
  assert.equal(issued.length, 2);
}, { alone: true });

test('a new token is asked for before the old one ends', async (t) => {
  const issued = [];
  const client = await t.connected({
    authCallback: (params, callback) => {
      issued.push(issued.length);
      t.time().then((now) => callback(null, jwt({ now, seconds: 3600 })), callback);
    },
  });
  const { id } = client.connection;
  const updated = event(client.connection, 'update');
  await t.control('/clock', { advance: 3575 });
  await updated;
  assert.equal(client.connection.id, id);
  assert.equal(issued.length, 2);
}, { alone: true });

test('a token refused at the start is renewed once', async (t) => {
  const tag = t.name();
  let asked = 0;
  await t.fault({ does: 'error', action: 'CONNECT', query: { tag }, error: { code: 40142, status: 401 } });
  const client = t.realtime({
    transportParams: { tag },
    authCallback: (params, callback) => {
      asked += 1;
      callback(null, jwt());
    },
  });
  await state(client.connection, 'connected');
  assert.equal(asked, 2);
});

test('a token error without a way to renew fails the connection', async (t) => {
  const { token } = await t.rest().auth.requestToken();
  const client = await t.connected({ token });
  const failed = event(client.connection, 'failed');
  await t.deed('expire', { connection: client.connection.id });
  const change = await failed;
  assert.equal(change.reason.code, 40171);
});

test('in-band reauthorisation keeps the connection', async (t) => {
  const client = await t.connected({ authCallback: (params, callback) => callback(null, jwt()) });
  const { id } = client.connection;
  const updated = event(client.connection, 'update');
  const before = client.auth.tokenDetails.token;
  await client.auth.authorize();
  const change = await updated;
  assert.equal(change.current, 'connected');
  assert.equal(client.connection.id, id);
  assert(before);
});

test('authorize connects a client that is not connected', async (t) => {
  const client = t.realtime({
    autoConnect: false,
    authCallback: (params, callback) => callback(null, jwt()),
  });
  await client.auth.authorize();
  assert.equal(client.connection.state, 'connected');
});

test('the server asks for new credentials and gets them', async (t) => {
  let asked = 0;
  const client = await t.connected({
    authCallback: (params, callback) => {
      asked += 1;
      callback(null, jwt());
    },
  });
  const states = [];
  client.connection.on((change) => states.push(change.event ?? change.current));
  const updated = event(client.connection, 'update');
  await t.deed('reauth', { connection: client.connection.id });
  await updated;
  assert.equal(asked, 2);
  assert.equal(client.connection.state, 'connected');
});

test('a lost capability fails the channel, not the connection', async (t) => {
  const [kept, lost] = [t.name('kept'), t.name('lost')];
  let capability = { [kept]: ['*'], [lost]: ['*'] };
  const client = await t.connected({
    authCallback: (params, callback) => callback(null, jwt({ capability })),
  });
  await client.channels.get(kept).attach();
  const channel = client.channels.get(lost);
  await channel.attach();
  const failed = event(channel, 'failed');
  capability = { [kept]: ['*'] };
  await client.auth.authorize();
  assert.equal((await failed).reason.code, 40160);
  assert.equal(client.channels.get(kept).state, 'attached');
  assert.equal(client.connection.state, 'connected');
});

test('attaching without the capability fails the channel', async (t) => {
  const client = await t.connected({ key: RESTRICTED });
  const channel = client.channels.get(t.name());
  await refused(channel.attach(), 40160, 401);
  assert.equal(channel.state, 'failed');
  assert.equal(client.connection.state, 'connected');
});

test('publishing without the capability is refused', async (t) => {
  const client = await t.connected({ key: LISTENER });
  const channel = client.channels.get(t.name());
  await channel.attach();
  await refused(channel.publish('n', 'x'), 40160, 401);
});

test('a token has at most its key\u2019s capability', async (t) => {
  const rest = t.rest({ key: RESTRICTED });
  const details = await rest.auth.requestToken({ capability: { channel2: ['publish', 'history'], other: ['*'] } });
  assert.deepEqual(JSON.parse(details.capability), { channel2: ['publish'] });
  await refused(rest.auth.requestToken({ capability: { other: ['*'] } }), 40160, 401);
});

test('a restricted token publishes where it may and nowhere else', async (t) => {
  const name = t.name();
  const rest = t.rest({ token: jwt({ capability: { [name]: ['publish'] } }) });
  await rest.channels.get(name).publish('n', 'x');
  await refused(rest.channels.get(t.name()).publish('n', 'x'), 40160, 401);
});

test('REST takes the key', async (t) => {
  const rest = t.rest();
  const { status } = await rest.channels.get(t.name()).status();
  assert.equal(status.isActive, false);
});

test('REST refuses a wrong secret and an unknown key', async (t) => {
  await refused(t.rest({ key: 'app.key:wrong' }).channels.get(t.name()).history(), 40101, 401);
  const error = await refused(t.rest({ key: 'app.none:secret' }).channels.get(t.name()).history(), 40400);
  assert.equal(error.statusCode, 401);
});

test('REST takes a JWT', async (t) => {
  const name = t.name();
  await t.rest({ token: jwt() }).channels.get(name).publish('n', 'x');
  assert.equal((await t.rest().channels.get(name).history()).items.length, 1);
});

test('REST takes a native token', async (t) => {
  const { token } = await t.rest().auth.requestToken();
  const name = t.name();
  await t.rest({ token }).channels.get(name).publish('n', 'x');
  assert.equal((await t.rest().channels.get(name).history()).items.length, 1);
});

test('REST takes an authCallback with a token request', async (t) => {
  const rest = t.rest({
    authCallback: (params, callback) => {
      t.rest().auth.createTokenRequest(params).then((request) => callback(null, request), callback);
    },
  });
  await rest.channels.get(t.name()).publish('n', 'x');
});

test('REST takes an authCallback with a JWT', async (t) => {
  const rest = t.rest({ authCallback: (params, callback) => callback(null, jwt()) });
  await rest.channels.get(t.name()).publish('n', 'x');
});

test('REST renews a token on a 401', async (t) => {
  const name = t.name();
  let asked = 0;
  const rest = t.rest({
    authCallback: (params, callback) => {
      asked += 1;
      callback(null, jwt());
    },
  });
  await t.callFault({
    does: 'fail',
    path: `/channels/${name}/`,
    status: 401,
    body: JSON.stringify({ error: { code: 40142, statusCode: 401, message: 'token expired' } }),
    headers: { 'Content-Type': 'application/json', 'X-Ably-Errorcode': '40142' },
  });
  await rest.channels.get(name).publish('n', 'x');
  assert.equal(asked, 2);
});

test('revoked tokens end their connections', async (t) => {
  const clientId = t.name();
  const rest = t.rest();
  const details = await rest.auth.requestToken({ clientId });
  const client = await t.connected({ tokenDetails: details });
  const disconnected = new Promise((resolve) => {
    client.connection.on((change) => change.reason && resolve(change.reason));
  });
  const result = await rest.auth.revokeTokens([{ type: 'clientId', value: clientId }]);
  assert.equal(result.successCount, 1);
  assert.equal(result.failureCount, 0);
  assert.equal(result.results[0].target, `clientId:${clientId}`);
  assert.equal(typeof result.results[0].issuedBefore, 'number');
  assert.equal(typeof result.results[0].appliesAt, 'number');
  assert([40141, 40171].includes((await disconnected).code));
  await refused(t.rest({ token: details.token }).channels.get(t.name()).publish('n', 'x'), 40171);
});

test('a token may not revoke', async (t) => {
  await refused(t.rest({ token: jwt() }).auth.revokeTokens([{ type: 'clientId', value: 'x' }]), 40162, 401);
});

test('a revocation says what it was asked for', async (t) => {
  const rest = t.rest();
  const now = await rest.time();
  const issuedBefore = now - 20 * 60 * 1000;
  const result = await rest.auth.revokeTokens([{ type: 'clientId', value: t.name() }], {
    issuedBefore,
    allowReauthMargin: true,
  });
  assert.equal(result.results[0].issuedBefore, issuedBefore);
  assert(result.results[0].appliesAt > now + 29_000);
});

test('an unknown target of a revocation fails alone', async (t) => {
  const result = await t.rest().auth.revokeTokens([
    { type: 'clientId', value: t.name() },
    { type: 'invalidType', value: 'abc' },
  ]);
  assert.equal(result.successCount, 1);
  assert.equal(result.failureCount, 1);
  assert.equal(result.results[1].target, 'invalidType:abc');
  assert.equal(result.results[1].error.statusCode, 400);
});

test('a wildcard token lets a client choose who it is', async (t) => {
  const client = await t.connected({ token: jwt({ clientId: '*' }), clientId: 'ann' });
  assert.equal(client.auth.clientId, 'ann');
  const name = t.name();
  await client.channels.get(name).publish('n', 'x');
  const { items } = await t.rest().channels.get(name).history();
  assert.equal(items[0].clientId, 'ann');
  await until(() => client.connection.state === 'connected');
  assert(KEY);
});
