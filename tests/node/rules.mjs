// What Discord refuses, and what it lets happen all the same.
import assert from 'node:assert/strict';

export function ruleCases(emulator) {
    const cases = [];
    const test = (name, run) => cases.push({ name, run });

    async function api(method, path, body) {
        const answer = await fetch(emulator.api + path, {
            method,
            headers: { authorization: `Bot ${emulator.token}`, 'user-agent': 'DiscordBot (test, 1)',
                ...(body && !(body instanceof FormData) ? { 'content-type': 'application/json' } : {}) },
            body: body instanceof FormData ? body : body && JSON.stringify(body),
        });
        const text = await answer.text();
        return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : null };
    }

    async function made(method, path, body) {
        const r = await api(method, path, body);
        assert.ok(r.status < 300, JSON.stringify(r.body));
        return r.body;
    }

    async function refused(status, code, method, path, body) {
        const r = await api(method, path, body);
        assert.deepEqual([r.status, r.body?.code], [status, code], JSON.stringify(r.body));
        return r.body;
    }

    const channel = (name, more) => made('POST', `/guilds/${emulator.guild_id}/channels`, { name, ...more });

    test('an attachment is kept once', async () => {
        const { id } = await channel('keep-list');
        const form = new FormData();
        form.set('files[0]', new Blob(['a']), 'a.txt');
        const m = await made('POST', `/channels/${id}/messages`, form);
        const path = `/channels/${id}/messages/${m.id}`;
        const [file] = m.attachments;
        await refused(400, 50035, 'PATCH', path, { attachments: [{ id: file.id }, { id: file.id }] });
        const kept = await made('PATCH', path, { attachments: [{ id: file.id }] });
        assert.deepEqual(kept.attachments.map((a) => a.id), [file.id]);
    });

    test('a channel needs a name', async () => {
        const path = `/guilds/${emulator.guild_id}/channels`;
        await refused(400, 50035, 'POST', path, { name: null });
        await refused(400, 50035, 'POST', path, { name: '!!!' });
    });

    test('what the system said of a thread is not deleted', async () => {
        const { id } = await channel('system');
        const thread = await made('POST', `/channels/${id}/threads`, { name: 'one', type: 11 });
        const path = `/channels/${thread.id}`;
        await made('PATCH', path, { name: 'two' });
        const said = await made('POST', `${path}/messages`, { content: 'row' });
        const [, note] = await made('GET', `${path}/messages`);
        assert.equal(note.type, 4);
        await refused(403, 50021, 'DELETE', `${path}/messages/${note.id}`);
        await made('POST', `${path}/messages/bulk-delete`, { messages: [note.id, said.id] });
        assert.deepEqual((await made('GET', `${path}/messages`)).map((m) => m.id), [note.id]);
    });

    test('an archived thread is only read', async () => {
        const { id } = await channel('archived');
        const thread = await made('POST', `/channels/${id}/threads`, { name: 'old', type: 11 });
        const path = `/channels/${thread.id}`;
        const row = await made('POST', `${path}/messages`, { content: 'row' });
        await made('PUT', `${path}/messages/pins/${row.id}`);
        await made('PATCH', path, { archived: true });
        await refused(400, 50083, 'PATCH', `${path}/messages/${row.id}`, { content: 'other' });
        await refused(400, 50083, 'DELETE', `${path}/messages/${row.id}`);
        await refused(400, 50083, 'DELETE', `${path}/messages/pins/${row.id}`);
        await refused(400, 50083, 'PUT', `${path}/messages/${row.id}/reactions/%F0%9F%94%A5/@me`);
        await refused(400, 50083, 'PATCH', path, { name: 'new' });
        await made('POST', `${path}/messages`, { content: 'wakes it' });
        await made('DELETE', `${path}/messages/pins/${row.id}`);
    });

    test('a thread is of a kind its channel has', async () => {
        const text = await channel('text'), news = await channel('news', { type: 5 });
        const start = (to, type) => [`/channels/${to.id}/threads`, { name: 'thread', type }];
        await refused(400, 50035, 'POST', ...start(text, 10));
        await refused(400, 50035, 'POST', ...start(news, 11));
        assert.equal((await made('POST', ...start(text))).type, 12);
        assert.equal((await made('POST', ...start(news, 10))).type, 10);
    });

    test("of another's message only the embeds are suppressed", async () => {
        const { id } = await channel('others');
        const m = await emulator.post('/emulator/messages', { channel_id: id, content: 'a person' });
        const path = `/channels/${id}/messages/${m.id}`;
        await refused(403, 50005, 'PATCH', path, { content: 'mine' });
        assert.equal((await made('PATCH', path, { flags: 4 | 1 << 15 })).flags, 4);
    });

    test('a guild holds fifty categories, a category fifty channels', async () => {
        let last;
        for (let i = 0; i < 50; i++)
            last = await channel(`category ${i}`, { type: 4 });
        await refused(400, 30013, 'POST', `/guilds/${emulator.guild_id}/channels`, { name: 'more', type: 4 });
        for (let i = 0; i < 50; i++)
            await channel(`child-${i}`, { parent_id: last.id });
        const more = { name: 'more', parent_id: last.id };
        const said = await refused(400, 50035, 'POST', `/guilds/${emulator.guild_id}/channels`, more);
        assert.equal(said.errors.parent_id._errors[0].code, 'CHANNEL_PARENT_MAX_CHANNELS');
        const outside = await channel('more');
        await refused(400, 50035, 'PATCH', `/channels/${outside.id}`, more);
    });

    test('a nonce makes one message, and is told once', async () => {
        const { id } = await channel('nonces');
        const path = `/channels/${id}/messages`;
        const body = { content: 'first', nonce: 'n-1', enforce_nonce: true };
        const first = await made('POST', path, body);
        assert.equal(first.nonce, 'n-1');
        const again = await made('POST', path, { ...body, content: 'second' });
        assert.deepEqual(again, first);
        assert.ok(!('nonce' in await made('GET', `${path}/${first.id}`)));
        await made('DELETE', `${path}/${first.id}`);
        await refused(404, 10008, 'POST', path, body);
        await emulator.post('/emulator/clock', { advance_ms: 6 * 60 * 1000 });
        assert.notEqual((await made('POST', path, body)).id, first.id);
    });

    test('a message of components shows its files in them', async () => {
        const { id } = await channel('components');
        const form = (components, content) => {
            const f = new FormData();
            f.set('payload_json', JSON.stringify({ flags: 1 << 15, components, content }));
            f.set('files[0]', new Blob(['a']), 'the row.bin');
            return f;
        };
        const shows = (name, content) => form([{ type: 13, file: { url: `attachment://${name}` } }], content);
        const path = `/channels/${id}/messages`;
        for (const odd of [{ type: null }, { type: 2 }, { type: 11 }, { type: 99 }, { type: 12, items: [] }, { type: 13 }])
            await refused(400, 50035, 'POST', path, form([odd]));
        await refused(400, 50006, 'POST', path, form([]));
        const said = await refused(400, 50035, 'POST', path, shows('the row.bin'));
        assert.equal(said.errors.components[0].file.url._errors[0].code,
            'UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND');
        const named = await refused(400, 50035, 'POST', path, shows('the_row.bin', 'has no place'));
        assert.deepEqual(Object.keys(named.errors), ['content']);
    });

    test("a file's name has its length, however it is given", async () => {
        const { id } = await channel('file-names');
        const named = (name, n) => {
            const f = new FormData();
            if (n)
                f.set('payload_json', JSON.stringify({ attachments: [{ id: 0, filename: 'x'.repeat(n) }] }));
            f.set('files[0]', new Blob(['a']), name);
            return f;
        };
        const path = `/channels/${id}/messages`;
        await refused(400, 50035, 'POST', path, named('x'.repeat(1025)));
        await refused(400, 50035, 'POST', path, named('x', 1025));
        const [file] = (await made('POST', path, named('x'.repeat(1024)))).attachments;
        assert.equal(await (await fetch(file.url)).text(), 'a');
    });

    return cases;
}
