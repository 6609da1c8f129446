// An emulator of one's own, for the length of a test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export async function startEmulator(...args) {
    const child = spawn(process.env.DBCORD_EMULATOR, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    const [line] = await Promise.race([
        once(lines, 'line'),
        once(child, 'exit').then(([code]) => {
            throw new Error(`the emulator ended with ${code} before it was ready`);
        }),
    ]);
    const ready = JSON.parse(line);
    const base = new URL(ready.api).origin;

    async function control(method, path, body) {
        const answer = await fetch(base + path, {
            method,
            headers: body ? { 'content-type': 'application/json' } : {},
            body: body ? JSON.stringify(body) : undefined,
        });
        const text = await answer.text();
        if (!answer.ok)
            throw new Error(`${method} ${path}: ${answer.status} ${text}`);
        return text ? JSON.parse(text) : null;
    }

    return {
        ...ready,
        base,
        get: (path) => control('GET', path),
        post: (path, body) => control('POST', path, body),
        async stop() {
            if (child.exitCode !== null)
                return child.exitCode;
            child.kill('SIGTERM');
            const [code, signal] = await once(child, 'exit');
            return code ?? signal;
        },
    };
}
