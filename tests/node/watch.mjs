// What an unmodified discord.js makes of the messages of another program in a
// guild: connects, says "ready" on standard output, and prints a line of JSON
// for each message as it comes and as it is after each edit, until it is ended.
//
//     node watch.mjs http://127.0.0.1:PORT TOKEN
import { Client, Events, GatewayIntentBits, MessageFlags, Partials } from 'discord.js';

const [base, token] = process.argv.slice(2);
const client = new Client({
    intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.MessageContent],
    partials: [Partials.Message, Partials.Channel],
    rest: { api: `${base}/api` },
});

// The library's own reading of each part, and what it fetches anew: a part that
// it cannot read throws.
async function show(what, message) {
    const again = await message.fetch(true);
    console.log(JSON.stringify({
        what,
        id: message.id,
        bot: message.author.bot,
        same: again.content === message.content,
        content: message.cleanContent,
        mentions: message.mentions.users.size + message.mentions.roles.size + (message.mentions.everyone ? 1 : 0),
        embeds: message.embeds.length,
        suppressed: message.flags.has(MessageFlags.SuppressEmbeds),
        command: message.interactionMetadata?.id ?? null,
        files: message.attachments.map((a) => ({ name: a.name, size: a.size })),
        buttons: message.components.flatMap((row) => row.components.map((b) => ({
            label: b.label, id: b.customId, disabled: b.disabled, style: b.style,
        }))),
    }));
}

const fail = (e) => {
    console.error(e);
    process.exit(1);
};
client.on(Events.Error, fail);
client.on(Events.MessageCreate, (m) => show('create', m).catch(fail));
client.on(Events.MessageUpdate, (_, m) => show('update', m).catch(fail));
client.once(Events.ClientReady, () => console.log('"ready"'));
process.on('SIGTERM', () => client.destroy().then(() => process.exit(0)));
await client.login(token);
