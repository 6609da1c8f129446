// Guild search, as late and as loose as the real one.
import assert from 'node:assert/strict';

export function searchCases(emulator) {
    const cases = [];
    const test = (name, run) => cases.push({ name, run });
    const advance = (ms) => emulator.post('/emulator/clock', { advance_ms: ms });
    let channel, other;
    const said = [];

    async function api(method, path, body) {
        const answer = await fetch(emulator.api + path, {
            method,
            headers: { authorization: `Bot ${emulator.token}`, 'user-agent': 'DiscordBot (test, 1)',
                ...(body ? { 'content-type': 'application/json' } : {}) },
            body: body && JSON.stringify(body),
        });
        const text = await answer.text();
        return { status: answer.status, body: text ? JSON.parse(text) : null };
    }

    async function search(query, status = 200) {
        await advance(1000); // not about limits
        const r = await api('GET', `/guilds/${emulator.guild_id}/messages/search?${query}`);
        assert.equal(r.status, status, JSON.stringify(r.body));
        return r.body;
    }

    const found = async (query) => (await search(query)).messages.map(([m]) => m.content);

    test('the first search finds no index, a later one does', async () => {
        for (const name of ['first', 'second']) {
            const r = await api('POST', `/guilds/${emulator.guild_id}/channels`, { name });
            assert.equal(r.status, 201);
            (channel ? (other = r.body) : (channel = r.body));
        }
        for (let i = 0; i < 30; i++) {
            said.push(await emulator.post('/emulator/messages', { user: 'owner',
                channel_id: i % 3 ? channel.id : other.id, content: `common word${i} ${i % 2 ? 'odd' : 'even'}` }));
        }
        const none = await search('content=common', 202);
        assert.equal(none.code, 110000);
        assert.equal('messages' in none, false);
        await advance(1000);
        const all = await search('content=common');
        assert.equal(all.total_results, 30);
        assert.equal(all.messages.length, 25);
        assert.ok(all.messages.every((hit) => hit.length === 1 && hit[0].hit === true));
    });

    test('newest first, or oldest, in pages', async () => {
        assert.deepEqual(await found('content=common&limit=2'), ['common word29 odd', 'common word28 even']);
        assert.deepEqual(await found('content=common&limit=2&offset=2&sort_order=asc'),
            ['common word2 even', 'common word3 odd']);
        assert.deepEqual(await found(`content=common&min_id=${said[27].id}`), ['common word29 odd', 'common word28 even']);
        assert.deepEqual(await found(`content=common&max_id=${said[1].id}`), ['common word0 even']);
    });

    test('filters narrow it down', async () => {
        assert.equal((await search(`channel_id=${other.id}`)).total_results, 10);
        assert.equal((await search(`channel_id=${other.id}&channel_id=${channel.id}&content=odd`)).total_results, 15);
        assert.equal((await search('author_type=bot&content=common')).total_results, 0);
        assert.equal((await search('author_type=-bot&content=common')).total_results, 30);
        assert.equal((await search(`author_id=${said[0].author.id}&content=word7`)).total_results, 1);
        assert.equal((await search('has=file&content=common')).total_results, 0);
        assert.equal((await search('pinned=true')).total_results, 0);
        assert.equal((await search('has=-link&content=common')).total_results, 30);
    });

    test('what is out of bounds is refused', async () => {
        for (const query of ['limit=26', 'limit=0', 'offset=9976', 'slop=101', 'has=hat', 'sort_by=mood', 'min_id=x'])
            assert.equal((await search(query, 400)).code, 50035);
    });

    test('a change is found when the lag has passed, and may be lost', async () => {
        await emulator.post('/emulator/search', { lag_ms: 30000 });
        await emulator.post('/emulator/messages', { channel_id: channel.id, content: 'brandnew' });
        assert.equal((await search('content=brandnew')).total_results, 0);
        await advance(30000);
        assert.equal((await search('content=brandnew')).total_results, 1);
        await emulator.post('/emulator/search', { lag_ms: 0, drop_every: 1 });
        await emulator.post('/emulator/messages', { channel_id: channel.id, content: 'neverseen' });
        await advance(60000);
        assert.equal((await search('content=neverseen')).total_results, 0);
        await emulator.post('/emulator/search', { drop_every: 0 });
    });

    test('it can be off, or forget', async () => {
        await emulator.post('/emulator/search', { off: true });
        await search('content=common', 403);
        await emulator.post('/emulator/search', { off: false, forget: true });
        await search('content=common', 202);
        await advance(1000);
        assert.equal((await search('content=neverseen')).total_results, 1);
        await emulator.post('/emulator/application', { intents: [] });
        await search('content=common', 403);
    });

    return cases;
}
