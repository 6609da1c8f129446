// The gateway's wire, below what a library shows: close codes, compression,
// large payloads in fragments, slow readers, faults.
import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import WebSocket from 'ws';

// A connection that collects frames; zlib-stream is inflated with one
// context, as the documentation asks.
class Socket {
    constructor(url, query = 'v=10&encoding=json') {
        this.frames = [];
        this.waiting = [];
        this.ws = new WebSocket(`${url}?${query}`);
        this.closed = new Promise((resolve) => this.ws.on('close', (code) => resolve(code)));
        this.ws.on('error', () => {});
        if (query.includes('zlib-stream')) {
            this.inflate = zlib.createInflate();
            this.inflate.on('data', (chunk) => { this.text += chunk; });
            this.text = '';
            this.chain = Promise.resolve();
        }
        this.ws.on('message', (data, binary) => this.receive(data, binary));
    }

    receive(data, binary) {
        if (!this.inflate) {
            assert.equal(binary, false);
            this.frame(JSON.parse(data));
            return;
        }
        assert.equal(binary, true);
        assert.equal(data.subarray(-4).toString('hex'), '0000ffff');
        this.chain = this.chain.then(() => new Promise((resolve) => {
            this.inflate.write(data, () => this.inflate.flush(() => {
                this.frame(JSON.parse(this.text));
                this.text = '';
                resolve();
            }));
        }));
    }

    frame(frame) {
        const i = this.waiting.findIndex((w) => w.fits(frame));
        if (i < 0)
            this.frames.push(frame);
        else
            this.waiting.splice(i, 1)[0].resolve(frame);
    }

    // The first frame, past or to come, that fits; it is taken out.
    take(fits, ms = 8000) {
        const i = this.frames.findIndex(fits);
        if (i >= 0)
            return Promise.resolve(this.frames.splice(i, 1)[0]);
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error('no such frame')), ms);
            this.waiting.push({ fits, resolve: (f) => { clearTimeout(timer); resolve(f); } });
        });
    }

    op(op) {
        return this.take((f) => f.op === op);
    }

    event(t) {
        return this.take((f) => f.t === t);
    }

    send(op, d) {
        this.ws.send(typeof op === 'string' ? op : JSON.stringify({ op, d }));
    }
}

export function gatewayCases(emulator) {
    const cases = [];
    const test = (name, run) => cases.push({ name, run });
    let url;

    const properties = { os: 'linux', browser: 'test', device: 'test' };
    const identify = (more = {}) => ({ token: emulator.token, intents: 33281, properties, ...more });
    const advance = (ms) => emulator.post('/emulator/clock', { advance_ms: ms });
    const api = async (method, path, body) => {
        const answer = await fetch(emulator.api + path, {
            method,
            headers: { authorization: `Bot ${emulator.token}`, 'user-agent': 'DiscordBot (test, 1)',
                'content-type': 'application/json' },
            body: body && JSON.stringify(body),
        });
        const text = await answer.text();
        return { status: answer.status, body: text ? JSON.parse(text) : null };
    };

    async function open(query) {
        const s = new Socket(url, query);
        await s.op(10);
        return s;
    }

    // One that is past READY; 5 s after the one before.
    async function login(query, more) {
        await advance(5000);
        const s = await open(query);
        s.send(2, identify(more));
        s.ready = (await s.event('READY')).d;
        return s;
    }

    async function leave(s, code = 1000) {
        s.ws.close(code);
        await s.closed;
    }

    test('the url comes from the API, with what is left of the day', async () => {
        const { body } = await api('GET', '/gateway/bot');
        url = body.url;
        assert.match(url, /^ws:\/\/127\.0\.0\.1:/);
        assert.equal(body.session_start_limit.max_concurrency, 1);
        const before = body.session_start_limit.remaining;
        await leave(await login());
        const after = await api('GET', '/gateway/bot');
        assert.equal(after.body.session_start_limit.remaining, before - 1);
        assert.equal((await fetch(`${emulator.api}/gateway`,
            { headers: { 'user-agent': 'DiscordBot (test, 1)' } })).status, 200);
    });

    const closes = [
        ['a wrong version', 4012, 'v=5&encoding=json'],
        ['another encoding', 4002, 'v=10&encoding=etf'],
        ['no JSON', 4002, undefined, '{"op":'],
        ['an unknown opcode', 4001, undefined, '{"op":77,"d":null}'],
        ['a presence before identify', 4003, undefined, '{"op":3,"d":{}}'],
        ['a payload over 4096 bytes', 4002, undefined, `{"op":1,"d":null${' '.repeat(4096)}}`],
    ];
    for (const [what, code, query, frame] of closes) {
        test(`${what} closes with ${code}`, async () => {
            const s = new Socket(url, query);
            if (frame) {
                await s.op(10);
                s.send(frame);
            }
            assert.equal(await s.closed, code);
        });
    }

    test('a wrong token closes with 4004, unknown intents with 4013', async () => {
        const s = await open();
        s.send(2, identify({ token: 'wrong' }));
        assert.equal(await s.closed, 4004);
        const t = await open();
        t.send(2, identify({ intents: 1 << 30 }));
        assert.equal(await t.closed, 4013);
    });

    test('zlib-stream carries the same frames', async () => {
        const s = await login('v=10&encoding=json&compress=zlib-stream');
        const guild = (await s.event('GUILD_CREATE')).d;
        assert.equal(guild.id, emulator.guild_id);
        s.send(1, null);
        await s.op(11);
        await leave(s);
    });

    test('a guild of a hundred channels arrives whole', async () => {
        for (let i = 0; i < 100; i++) {
            await emulator.post('/emulator/clock', { advance_ms: 20000 });
            const made = await api('POST', `/guilds/${emulator.guild_id}/channels`,
                { name: `c-${i}`, topic: 't'.repeat(1000) });
            assert.equal(made.status, 201, JSON.stringify(made.body));
        }
        for (const query of [undefined, 'v=10&encoding=json&compress=zlib-stream']) {
            const s = await login(query);
            const guild = (await s.event('GUILD_CREATE')).d;
            assert.ok(guild.channels.length >= 100);
            assert.ok(JSON.stringify(guild).length > 100000);
            await leave(s);
        }
    });

    test('who does not read at first gets everything later, in order', async () => {
        const s = await login();
        const [channel] = (await s.event('GUILD_CREATE')).d.channels.filter((c) => c.type === 0);
        s.ws.pause();
        for (let i = 0; i < 300; i++) {
            if (i % 5 === 0)
                await advance(5000);
            const r = await api('POST', `/channels/${channel.id}/messages`, { content: `${i} ${'x'.repeat(1900)}` });
            assert.equal(r.status, 200, JSON.stringify(r.body));
            if (i % 40 === 39)
                s.send(1, null);
        }
        s.ws.resume();
        for (let i = 0; i < 300; i++) {
            const { d } = await s.event('MESSAGE_CREATE');
            assert.equal(Number.parseInt(d.content, 10), i);
        }
        await leave(s);
    });

    test('silence stops acks and events until the client comes back', async () => {
        const s = await login();
        const [channel] = (await s.event('GUILD_CREATE')).d.channels.filter((c) => c.type === 0);
        await emulator.post('/emulator/gateway', { do: 'silence' });
        s.send(1, null);
        await api('POST', `/channels/${channel.id}/messages`, { content: 'unheard' });
        const t = await open();
        t.send(6, { token: emulator.token, session_id: s.ready.session_id, seq: 2 });
        assert.equal((await t.event('MESSAGE_CREATE')).d.content, 'unheard');
        await t.event('RESUMED');
        assert.equal(s.frames.filter((f) => f.op === 11).length, 0);
        assert.equal(await s.closed, 1006);
        await leave(t);
    });

    test('drop cuts without a close frame; the session waits some minutes', async () => {
        const s = await login();
        await emulator.post('/emulator/gateway', { do: 'drop' });
        assert.equal(await s.closed, 1006);
        await advance(60000);
        const t = await open();
        t.send(6, { token: emulator.token, session_id: s.ready.session_id, seq: 1 });
        await t.event('RESUMED');
        await emulator.post('/emulator/gateway', { do: 'drop' });
        await t.closed;
        await advance(600000);
        const u = await open();
        u.send(6, { token: emulator.token, session_id: s.ready.session_id, seq: 1 });
        assert.equal((await u.op(9)).d, false);
        await leave(u);
    });

    test('a client without heartbeats is closed with 4009', async () => {
        const s = await login();
        await advance(41250);
        s.send(1, null);
        await s.op(11);
        await advance(41250 * 2);
        assert.equal(await s.closed, 4009);
    });

    test('two identifies within five seconds: the second is refused', async () => {
        const s = await login();
        const t = await open();
        t.send(2, identify());
        assert.equal((await t.op(9)).d, false);
        await leave(s);
        await leave(t);
    });

    test('the server asks for a heartbeat', async () => {
        const s = await login();
        await emulator.post('/emulator/gateway', { do: 'heartbeat' });
        await s.op(1);
        await leave(s);
    });

    test('several sessions hear the same', async () => {
        const s = await login();
        const t = await login();
        const [channel] = (await s.event('GUILD_CREATE')).d.channels.filter((c) => c.type === 0);
        await api('POST', `/channels/${channel.id}/messages`, { content: 'both' });
        for (const each of [s, t])
            assert.equal((await each.event('MESSAGE_CREATE')).d.content, 'both');
        await leave(s);
        await leave(t);
    });

    test('without the switch in the portal, content is 4014, and blank in events', async () => {
        await advance(60000);
        await emulator.post('/emulator/application', { intents: [] });
        const s = await open();
        s.send(2, identify());
        assert.equal(await s.closed, 4014);
        const t = await login(undefined, { intents: 513 });
        const [channel] = (await t.event('GUILD_CREATE')).d.channels.filter((c) => c.type === 0);
        const say = (content) => emulator.post('/emulator/messages', { channel_id: channel.id, content });
        await say('not for you');
        assert.equal((await t.event('MESSAGE_CREATE')).d.content, '');
        await say(`for <@${t.ready.user.id}>`);
        assert.match((await t.event('MESSAGE_CREATE')).d.content, /^for /);
        await api('POST', `/channels/${channel.id}/messages`, { content: 'my own' });
        assert.equal((await t.event('MESSAGE_CREATE')).d.content, 'my own');
        await emulator.post('/emulator/application', { intents: ['message_content'] });
        await leave(t);
    });

    test('what the bot may not view it does not hear, until it may', async () => {
        const s = await login();
        const guild = (await s.event('GUILD_CREATE')).d;
        const [shown, hidden] = guild.channels.filter((c) => c.type === 0);
        const thread = await api('POST', `/channels/${hidden.id}/threads`, { name: 'inside', type: 11 });
        assert.equal(thread.status, 201);
        await s.event('THREAD_CREATE');
        assert.equal((await s.event('MESSAGE_CREATE')).d.type, 18);
        const denied = await api('PUT', `/channels/${hidden.id}/permissions/${s.ready.user.id}`,
            { type: 1, deny: '1024' });
        assert.equal(denied.status, 204, JSON.stringify(denied.body));
        await emulator.post('/emulator/messages', { channel_id: hidden.id, content: 'unseen' });
        await emulator.post('/emulator/messages', { channel_id: shown.id, content: 'seen' });
        assert.equal((await s.event('MESSAGE_CREATE')).d.content, 'seen');
        await emulator.post('/emulator/permissions', { grant: '8' });
        const sync = (await s.event('THREAD_LIST_SYNC')).d;
        assert.deepEqual(sync.channel_ids, [hidden.id]);
        assert.deepEqual(sync.threads.map((t) => t.id), [thread.body.id]);
        await emulator.post('/emulator/permissions', { revoke: '8' });
        await leave(s);
    });

    test('an ephemeral answer is told as a direct message', async () => {
        const s = await login(undefined, { intents: 33281 | 1 << 12 });
        await s.event('GUILD_CREATE');
        await api('PUT', `/applications/${emulator.application_id}/guilds/${emulator.guild_id}/commands`,
            [{ name: 'whisper', description: 'quietly' }]);
        const seen = emulator.post('/emulator/interactions', { command: 'whisper' });
        const { d: i } = await s.event('INTERACTION_CREATE');
        const answer = await api('POST', `/interactions/${i.id}/${i.token}/callback`,
            { type: 4, data: { content: 'psst', flags: 64 } });
        assert.equal(answer.status, 204);
        const { d } = await s.event('MESSAGE_CREATE');
        assert.equal(d.content, 'psst');
        assert.equal('guild_id' in d, false);
        assert.equal('member' in d, false);
        assert.equal((await seen).messages[0].id, d.id);
        await advance(15 * 60000);
        const late = await api('GET', `/webhooks/${emulator.application_id}/${i.token}/messages/@original`);
        assert.equal(late.status, 401);
        await s.closed; // it has not sent a heartbeat meanwhile
    });

    test('a thousand and one identifies a day cost the token', async () => {
        const { body } = await api('GET', '/gateway/bot');
        const s = await login();
        for (let left = body.session_start_limit.remaining - 1; left > 0; left--) {
            const t = await open();
            t.send(2, identify());
            await t.op(9);
            await leave(t);
        }
        const t = await open();
        t.send(2, identify());
        assert.equal(await t.closed, 4004);
        assert.equal(await s.closed, 4004);
        assert.equal((await api('GET', '/users/@me')).status, 401);
    });

    return cases;
}
