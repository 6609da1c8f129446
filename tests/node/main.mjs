// Every case of this directory, each group with an emulator of its own.
import assert from 'node:assert/strict';
import { startEmulator } from './emulator.mjs';
import { runCases } from './harness.mjs';
import { discordjsCases } from './discordjs.mjs';
import { gatewayCases } from './gateway.mjs';
import { ruleCases } from './rules.mjs';
import { searchCases } from './search.mjs';
import { validateTrace } from './validate-trace.mjs';

let passed = 0, failed = 0;

async function group(name, cases, options) {
    console.log(`# ${name}`);
    const r = await runCases(cases, options);
    passed += r.passed;
    failed += r.failed;
}

const conforms = (emulator) => ({
    name: 'every call is as the published schemas say',
    run: async () => {
        const { checked, failures } = await validateTrace(emulator.base);
        assert.ok(checked > 0);
        assert.deepEqual([...new Set(failures)], []);
    },
});

async function stop(emulator) {
    const code = await emulator.stop();
    if (code === 0)
        return;
    failed++;
    console.log(`FAIL the emulator ended with ${code}`);
}

let emulator = await startEmulator();
const { cases, end } = discordjsCases(emulator);
await group('discord.js', [...cases, conforms(emulator)], { stopAtFirst: true });
await end();
await stop(emulator);

emulator = await startEmulator();
await group('gateway', [...gatewayCases(emulator), conforms(emulator)], { stopAtFirst: true });
await stop(emulator);

emulator = await startEmulator();
await group('search', [...searchCases(emulator), conforms(emulator)], { stopAtFirst: true });
await stop(emulator);

emulator = await startEmulator('--limits', 'off');
await group('rules', [...ruleCases(emulator), conforms(emulator)]);
await stop(emulator);

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
