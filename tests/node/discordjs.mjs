// The emulator through the eyes of discord.js, unmodified: what the library
// expects of Discord it must find here. The cases are one story, in order.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
    ActionRowBuilder, ApplicationCommandOptionType, AttachmentBuilder, ButtonBuilder, ButtonStyle,
    ChannelType, Client, DiscordAPIError, EmbedBuilder, Events, GatewayIntentBits, MessageFlags,
    MessageType, ModalBuilder, Partials, StringSelectMenuBuilder, TextInputBuilder, TextInputStyle,
} from 'discord.js';

export function discordjsCases(emulator) {
    const cases = [];
    const test = (name, run) => cases.push({ name, run });

    const client = new Client({
        intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages,
            GatewayIntentBits.MessageContent, GatewayIntentBits.GuildMessageReactions],
        partials: [Partials.Message, Partials.Channel, Partials.Reaction],
        rest: { api: `${emulator.base}/api` },
    });
    client.on('error', (e) => console.error('client:', e));

    // The next event of this name that fits; what it carries is returned.
    async function next(event, fits = () => true, ms = 8000) {
        const until = AbortSignal.timeout(ms);
        try {
            for (;;) {
                const args = await once(client, event, { signal: until });
                if (fits(...args))
                    return args;
            }
        } catch (e) {
            throw new Error(`no ${event} within ${ms} ms`, { cause: e });
        }
    }

    // Both what a call answers and the event it causes, whichever comes first.
    async function both(call, event, fits) {
        const seen = next(event, fits);
        const [result, args] = await Promise.all([call(), seen]);
        return [result, ...args];
    }

    async function refused(call, code) {
        await assert.rejects(call, (e) => {
            assert.ok(e instanceof DiscordAPIError, String(e));
            assert.equal(e.code, code, e.message);
            return true;
        });
    }

    let guild, category, channel, message, thread;

    test('logs in and is given its guild', async () => {
        const ready = next(Events.ClientReady);
        await client.login(emulator.token);
        await ready;
        assert.equal(client.user.bot, true);
        assert.equal(client.application.id, emulator.application_id);
        guild = client.guilds.cache.get(emulator.guild_id);
        assert.ok(guild, 'GUILD_CREATE names the guild');
        assert.equal(guild.available, true);
        assert.ok(guild.members.me, 'the bot is among the members');
        assert.ok(guild.roles.everyone, '@everyone is a role');
    });

    test('fetches guild, roles and channels', async () => {
        const listed = await client.guilds.fetch();
        assert.ok(listed.has(guild.id));
        const fetched = await guild.fetch();
        assert.equal(fetched.ownerId, guild.ownerId);
        const channels = await guild.channels.fetch();
        assert.equal(channels.size, guild.channels.cache.size);
        assert.ok((await guild.roles.fetch()).size >= 2);
        assert.equal((await guild.members.fetchMe()).id, client.user.id);
        const app = await client.application.fetch();
        assert.ok(app.flags.has('GatewayMessageContent') || app.flags.has('GatewayMessageContentLimited'));
    });

    test('creates a category and a channel in it', async () => {
        [category] = await both(() => guild.channels.create({ name: 'Data Store', type: ChannelType.GuildCategory }),
            Events.ChannelCreate, (c) => c.type === ChannelType.GuildCategory);
        const [made, seen] = await both(
            () => guild.channels.create({ name: 'Table  Of People', parent: category.id, topic: 'rows' }),
            Events.ChannelCreate, (c) => c.parentId === category.id);
        channel = made;
        assert.equal(seen.id, channel.id);
        assert.equal(channel.name, 'table-of-people');
        assert.equal(channel.topic, 'rows');
    });

    test('edits a channel', async () => {
        const [edited, , now] = await both(() => channel.edit({ topic: 'people' }), Events.ChannelUpdate,
            (before, after) => after.id === channel.id);
        assert.equal(edited.topic, 'people');
        assert.equal(now.topic, 'people');
    });

    test('sends a message and hears of it', async () => {
        const [sent, heard] = await both(
            () => channel.send({ content: '  hello there  ', nonce: 'n-1', enforceNonce: true,
                allowedMentions: { parse: [] } }),
            Events.MessageCreate, (m) => m.channelId === channel.id);
        message = sent;
        assert.equal(sent.id, heard.id);
        assert.equal(heard.content, 'hello there');
        assert.equal(heard.nonce, 'n-1');
        assert.equal(heard.guildId, guild.id);
        assert.equal(heard.member.id, client.user.id);
        assert.equal(sent.createdTimestamp, heard.createdTimestamp);
        assert.ok(Math.abs(Date.now() - sent.createdTimestamp) < 60000);
    });

    test('gets the same message for the same nonce', async () => {
        const again = await channel.send({ content: 'other', nonce: 'n-1', enforceNonce: true });
        assert.equal(again.id, message.id);
        assert.equal(again.content, 'hello there');
    });

    test('edits a message and hears of it whole', async () => {
        const [edited, , now] = await both(
            () => message.edit({ content: 'hello again', embeds: [new EmbedBuilder().setTitle('T').setDescription('D')] }),
            Events.MessageUpdate, (before, after) => after.id === message.id && after.content === 'hello again');
        assert.equal(edited.content, 'hello again');
        assert.equal(now.embeds[0].description, 'D');
        assert.ok(now.editedTimestamp >= message.createdTimestamp);
    });

    test('uploads a file and downloads it from the CDN', async () => {
        const bytes = Buffer.from(Array.from({ length: 70000 }, (_, i) => (i * 31) % 256));
        const sent = await channel.send({ files: [new AttachmentBuilder(bytes, { name: 'my rows.bin', description: 'd' })] });
        const attachment = sent.attachments.first();
        assert.equal(attachment.name, 'my_rows.bin');
        assert.equal(attachment.title, 'my rows.bin');
        assert.equal(attachment.size, bytes.length);
        assert.equal(attachment.description, 'd');
        const answer = await fetch(attachment.url);
        assert.equal(answer.status, 200);
        assert.deepEqual(Buffer.from(await answer.arrayBuffer()), bytes);
        assert.notEqual((await fetch(attachment.url.replace(/hm=[0-9a-f]{4}/, 'hm=0000'))).status, 200);
        const kept = await sent.edit({ content: 'kept', attachments: [attachment] });
        assert.equal(kept.attachments.size, 1);
        const dropped = await sent.edit({ content: 'dropped', attachments: [] });
        assert.equal(dropped.attachments.size, 0);
    });

    test('lists messages newest first', async () => {
        const list = await channel.messages.fetch({ limit: 10, cache: false });
        const ids = [...list.keys()].map(BigInt);
        assert.deepEqual(ids, [...ids].sort((a, b) => (a < b ? 1 : -1)));
        assert.ok(list.has(message.id));
        const one = await channel.messages.fetch({ message: message.id, force: true });
        assert.equal(one.content, 'hello again');
        await refused(() => channel.messages.fetch('1'), 10008);
    });

    test('keeps to the rate limit without losing a message', async () => {
        const before = message.id;
        const sent = await Promise.all(Array.from({ length: 7 }, (_, i) => channel.send(`burst ${i}`)));
        const listed = await channel.messages.fetch({ after: before, limit: 100 });
        assert.equal(listed.filter((m) => m.content.startsWith('burst')).size, 7);
        assert.equal(new Set(sent.map((m) => m.id)).size, 7);
    });

    test('reacts', async () => {
        const [, reaction] = await both(() => message.react('👍'), Events.MessageReactionAdd,
            (r) => r.message.id === message.id);
        assert.equal(reaction.emoji.name, '👍');
        const fresh = await message.fetch(true);
        assert.equal(fresh.reactions.cache.get('👍').count, 1);
        const [, gone] = await both(() => fresh.reactions.cache.get('👍').users.remove(client.user.id),
            Events.MessageReactionRemove, (r) => r.message.id === message.id);
        assert.equal(gone.emoji.name, '👍');
    });

    test('pins', async () => {
        const system = next(Events.MessageCreate, (m) => m.type === MessageType.ChannelPinnedMessage);
        await both(() => message.pin(), Events.ChannelPinsUpdate, (c) => c.id === channel.id);
        await system;
        const pins = await channel.messages.fetchPins();
        assert.equal(pins.items.length, 1);
        assert.equal(pins.items[0].message.id, message.id);
        await both(() => message.unpin(), Events.ChannelPinsUpdate, (c) => c.id === channel.id);
        assert.equal((await channel.messages.fetchPins()).items.length, 0);
    });

    test('starts a thread on a message and posts in it', async () => {
        const updated = next(Events.MessageUpdate, (before, after) => after.id === message.id && after.hasThread);
        // The library's own event does not wait for the gateway's.
        const [made, { d: created }] = await both(
            () => message.startThread({ name: 'History of it', autoArchiveDuration: 60 }),
            'raw', (packet) => packet.t === 'THREAD_CREATE' && packet.d.id === message.id);
        await updated;
        thread = made;
        assert.equal(created.id, message.id);
        assert.equal(created.newly_created, true);
        assert.equal(thread.parentId, channel.id);
        assert.equal(thread.name, 'History of it');
        const [sent, heard] = await both(() => thread.send('in the thread'), Events.MessageCreate,
            (m) => m.channelId === thread.id && m.content !== '');
        assert.equal(sent.id, heard.id);
        const list = await thread.messages.fetch();
        assert.ok(list.has(sent.id));
        // The library would not even ask.
        await refused(() => client.rest.post(`/channels/${channel.id}/messages/${message.id}/threads`,
            { body: { name: 'second' } }), 160004);
    });

    test('archives a thread, which a message revives', async () => {
        const [, , archived] = await both(() => thread.setArchived(true), Events.ThreadUpdate,
            (before, after) => after.id === thread.id && after.archived);
        assert.equal(archived.archived, true);
        const listed = await channel.threads.fetchArchived();
        assert.ok(listed.threads.has(thread.id));
        const first = (await thread.messages.fetch()).find((m) => m.content === 'in the thread');
        await refused(() => first.edit('too late'), 50083);
        await both(() => thread.send('revived'), Events.ThreadUpdate,
            (before, after) => after.id === thread.id && !after.archived);
        const active = await guild.channels.fetchActiveThreads();
        assert.ok(active.threads.has(thread.id));
    });

    test('deletes one message and many', async () => {
        const list = (await channel.messages.fetch({ limit: 100 })).filter((m) => m.content.startsWith('burst'));
        const [first, ...rest] = list.values();
        await both(() => first.delete(), Events.MessageDelete, (m) => m.id === first.id);
        const [, deleted] = await both(() => channel.bulkDelete(rest), Events.MessageBulkDelete,
            (m, c) => c.id === channel.id);
        assert.equal(deleted.size, rest.length);
        await refused(() => channel.messages.fetch({ message: rest[0].id, force: true }), 10008);
    });

    test('is refused what it sends wrong', async () => {
        await refused(() => channel.send({ content: '   ' }), 50006);
        await refused(() => channel.send('x'.repeat(2001)), 50035);
        await refused(() => client.channels.fetch('1'), 10003);
    });

    // --- commands ---

    const COMMANDS = [
        {
            name: 'find',
            description: 'Find rows',
            options: [
                { type: ApplicationCommandOptionType.String, name: 'table', description: 'Which', required: true, autocomplete: true },
                { type: ApplicationCommandOptionType.Integer, name: 'limit', description: 'How many', minValue: 1, maxValue: 100 },
                { type: ApplicationCommandOptionType.User, name: 'who', description: 'Whose' },
                { type: ApplicationCommandOptionType.Attachment, name: 'file', description: 'From' },
            ],
        },
        { name: 'slow', description: 'Takes its time' },
        { name: 'menu', description: 'Shows a button and a select' },
        { name: 'ask', description: 'Shows a modal' },
        { name: 'mute', description: 'Never answers' },
    ];

    test('registers commands, twice the same', async () => {
        const set = await guild.commands.set(COMMANDS);
        assert.equal(set.size, COMMANDS.length);
        const find = set.find((c) => c.name === 'find');
        const again = await guild.commands.set(COMMANDS);
        const same = again.find((c) => c.name === 'find');
        assert.equal(same.id, find.id);
        assert.equal(same.version, find.version);
        assert.ok(find.equals(COMMANDS[0]), 'what is fetched is what was registered');
        const fetched = await guild.commands.fetch();
        assert.equal(fetched.size, COMMANDS.length);
        await refused(() => guild.commands.create({ name: 'Bad Name', description: 'x' }), 50035);
    });

    test('edits and deletes a command', async () => {
        const made = await guild.commands.create({ name: 'temporary', description: 'one' });
        const { version } = made;
        const edited = await guild.commands.edit(made, { description: 'two' });
        assert.equal(edited.description, 'two');
        assert.equal(edited.id, made.id);
        assert.notEqual(edited.version, version);
        await guild.commands.delete(made);
        await refused(() => guild.commands.fetch(made.id), 10063);
        const global = await client.application.commands.create({ name: 'everywhere', description: 'one' });
        assert.equal(global.guildId, null);
        // Not deleted: that would be the sixth of this bucket, and 20 s of waiting.
    });

    // Answers the next interaction by `answer`, while a person does `what`.
    async function interact(what, answer) {
        const handled = next(Events.InteractionCreate).then(([i]) => answer(i));
        const [seen] = await Promise.all([
            emulator.post('/emulator/interactions', { user: 'owner', channel_id: channel.id, ...what }),
            handled,
        ]);
        return seen;
    }

    test('answers a slash command with typed options', async () => {
        const seen = await interact(
            { command: 'find', options: { table: 'people', limit: 5, who: 'owner', file: { filename: 'a.json', content: '[1]' } } },
            async (i) => {
                assert.ok(i.isChatInputCommand());
                assert.equal(i.options.getString('table'), 'people');
                assert.equal(i.options.getInteger('limit'), 5);
                assert.equal(i.options.getUser('who').id, guild.ownerId);
                assert.equal(i.user.id, guild.ownerId);
                assert.equal(i.guildId, guild.id);
                assert.ok(i.inGuild() && i.memberPermissions.has('Administrator'));
                assert.ok(i.appPermissions.has('SendMessages'));
                const file = i.options.getAttachment('file');
                assert.equal(file.name, 'a.json');
                assert.equal(await (await fetch(file.url)).text(), '[1]');
                const response = await i.reply({ content: 'two rows', withResponse: true });
                assert.equal(response.resource.message.content, 'two rows');
                await assert.rejects(() => i.client.rest.post(`/interactions/${i.id}/${i.token}/callback`,
                    { body: { type: 4, data: { content: 'twice' } }, auth: false }), { code: 40060 });
            });
        assert.equal(seen.messages.length, 1);
        assert.equal(seen.messages[0].content, 'two rows');
        assert.equal(seen.messages[0].type, MessageType.ChatInputCommand);
        assert.equal(seen.failed, undefined);
        const inChannel = await channel.messages.fetch({ message: seen.messages[0].id, force: true });
        assert.equal(inChannel.interactionMetadata.user.id, guild.ownerId);
    });

    test('answers a person who is not the owner', async () => {
        const seen = await interact({ user: 'alice', command: 'find', options: { table: 't' } }, async (i) => {
            assert.equal(i.user.username, 'alice');
            assert.equal(i.memberPermissions.has('Administrator'), false);
            await i.reply({ content: 'only you', flags: MessageFlags.Ephemeral });
            const follow = await i.followUp({ content: 'and all', flags: 0 });
            assert.equal(follow.content, 'and all');
        });
        assert.equal(seen.messages[0].content, 'only you');
        assert.ok(seen.messages[0].flags & MessageFlags.Ephemeral);
        await refused(() => channel.messages.fetch({ message: seen.messages[0].id, force: true }), 10008);
    });

    test('suggests while somebody types', async () => {
        const seen = await interact({ command: 'find', options: { table: 'peo' }, focused: 'table' }, async (i) => {
            assert.ok(i.isAutocomplete());
            assert.deepEqual(i.options.getFocused(true), { name: 'table', type: 3, value: 'peo', focused: true });
            await i.respond([{ name: 'people', value: 'people' }]);
        });
        assert.deepEqual(seen.choices, [{ name: 'people', value: 'people' }]);
        assert.equal(seen.messages.length, 0);
    });

    test('defers, then edits, then follows up', async () => {
        const loading = next(Events.MessageCreate, (m) => m.flags.has(MessageFlags.Loading));
        const seen = await interact({ command: 'slow' }, async (i) => {
            await i.deferReply();
            await loading;
            await i.editReply({ content: 'done', files: [new AttachmentBuilder(Buffer.from('{}'), { name: 'r.json' })] });
            assert.equal((await i.fetchReply()).content, 'done');
            const more = await i.followUp('more');
            assert.equal(more.reference.messageId, (await i.fetchReply()).id);
            await i.deleteReply(more);
            await i.deleteReply();
            await refused(() => i.fetchReply(), 10008);
        });
        assert.equal(seen.messages[0].content, 'done');
        assert.equal(seen.messages[0].attachments[0].filename, 'r.json');
        assert.equal(seen.messages[0].flags & MessageFlags.Loading, 0);
    });

    test('shows a button and a select, and hears them used', async () => {
        const shown = await interact({ command: 'menu' }, (i) => i.reply({
            content: 'choose',
            flags: MessageFlags.Ephemeral,
            components: [
                new ActionRowBuilder().addComponents(
                    new ButtonBuilder().setCustomId('page:2').setLabel('Next').setStyle(ButtonStyle.Primary),
                    new ButtonBuilder().setCustomId('off').setLabel('Off').setStyle(ButtonStyle.Danger).setDisabled(true)),
                new ActionRowBuilder().addComponents(
                    new StringSelectMenuBuilder().setCustomId('pick').addOptions(
                        { label: 'A', value: 'a' }, { label: 'B', value: 'b' })),
            ],
        }));
        const { id } = shown.messages[0];
        const pressed = await interact({ message_id: id, custom_id: 'page:2' }, async (i) => {
            assert.ok(i.isButton());
            assert.equal(i.customId, 'page:2');
            assert.equal(i.message.id, id);
            await i.update({ content: 'page 2' });
        });
        assert.equal(pressed.messages[0].id, id);
        assert.equal(pressed.messages[0].content, 'page 2');
        const picked = await interact({ message_id: id, custom_id: 'pick', values: ['b'] }, async (i) => {
            assert.ok(i.isStringSelectMenu());
            assert.deepEqual(i.values, ['b']);
            await i.deferUpdate();
            await i.editReply({ content: 'picked b', components: [] });
        });
        assert.equal(picked.messages[0].content, 'picked b');
        assert.equal(picked.messages[0].components.length, 0);
        await assert.rejects(() => emulator.post('/emulator/interactions',
            { user: 'owner', channel_id: channel.id, message_id: id, custom_id: 'page:2' }));
    });

    test('shows a modal and reads what was entered', async () => {
        const asked = await interact({ command: 'ask' }, (i) => i.showModal(
            new ModalBuilder().setCustomId('form').setTitle('Form').addComponents(
                new ActionRowBuilder().addComponents(
                    new TextInputBuilder().setCustomId('text').setLabel('Text').setStyle(TextInputStyle.Short)))));
        assert.equal(asked.modal.custom_id, 'form');
        const seen = await interact({ modal: 'form', fields: { text: 'written' } }, async (i) => {
            assert.ok(i.isModalSubmit());
            assert.equal(i.fields.getTextInputValue('text'), 'written');
            await i.reply({ content: 'read', flags: MessageFlags.Ephemeral });
        });
        assert.equal(seen.messages[0].content, 'read');
    });

    test('tells the person when nobody answers in three seconds', async () => {
        const heard = next(Events.InteractionCreate);
        const waiting = emulator.post('/emulator/interactions',
            { user: 'owner', channel_id: channel.id, command: 'mute' });
        const [i] = await heard;
        await emulator.post('/emulator/clock', { advance_ms: 3000 });
        assert.equal((await waiting).failed, 'did not respond');
        await refused(() => i.reply('too late'), 10062);
    });

    // --- the rest ---

    test('finds messages by search', async () => {
        const query = (content) => client.rest.get(`/guilds/${guild.id}/messages/search`,
            { query: new URLSearchParams({ content, channel_id: channel.id }) });
        const sent = await channel.send('the needle x7f3 in hay');
        let found = await query('x7f3');
        assert.equal(found.code, 110000, 'the first search finds no index');
        assert.equal(found.messages, undefined);
        await emulator.post('/emulator/clock', { advance_ms: 5000 });
        found = await query('x7f3 hay');
        assert.equal(found.total_results, 1);
        assert.equal(found.messages[0][0].id, sent.id);
        assert.equal(found.messages[0][0].hit, true);
        assert.equal((await query('hay x7f3')).total_results, 0);
        await sent.delete();
        const stale = await query('x7f3');
        assert.deepEqual([stale.total_results, stale.messages.length], [1, 0]);
        await emulator.post('/emulator/clock', { advance_ms: 5000 });
        assert.equal((await query('x7f3')).total_results, 0);
    });

    test('resumes after its connection was cut', async () => {
        const resumed = next(Events.ShardResume, undefined, 20000);
        const heard = next(Events.MessageCreate, (m) => m.content === 'while away', 20000);
        await emulator.post('/emulator/gateway', { do: 'drop' });
        await channel.send('while away');
        const [, replayed] = await resumed;
        await heard;
        assert.ok(replayed >= 1, `${replayed} events replayed`);
    });

    test('reconnects when it is asked to', async () => {
        const resumed = next(Events.ShardResume, undefined, 20000);
        await emulator.post('/emulator/gateway', { do: 'reconnect' });
        await resumed;
    });

    test('identifies anew when its session is over', async () => {
        const ready = next(Events.ShardReady, undefined, 30000);
        await emulator.post('/emulator/gateway', { do: 'invalid-session' });
        await ready;
        assert.equal(client.guilds.cache.get(guild.id).available, true);
    });

    test('deletes thread, channel and category', async () => {
        // The library may know it from the answer first, and then says nothing.
        const [, { d: gone }] = await both(() => thread.delete(), 'raw',
            (packet) => packet.t === 'THREAD_DELETE' && packet.d.id === thread.id);
        assert.deepEqual(gone, { id: thread.id, guild_id: guild.id, parent_id: channel.id,
            type: ChannelType.PublicThread });
        const orphaned = next(Events.ChannelUpdate, (before, after) => after.id === channel.id && !after.parentId);
        await both(() => category.delete(), Events.ChannelDelete, (c) => c.id === category.id);
        await orphaned;
        await both(() => channel.delete(), Events.ChannelDelete, (c) => c.id === channel.id);
        await refused(() => client.channels.fetch(channel.id, { force: true }), 10003);
    });

    return { cases, end: () => client.destroy() };
}
